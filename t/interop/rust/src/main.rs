// Asks a gateway through a relay with the ohttp and bhttp crates.
//
//     rust-client ADDRESS PATH TEE_ID KEY_CONFIG (single|chunked) SIZE
//
// Sends POST /echo with SIZE bytes of content inside; prints the status of the
// relay, and of what opens the status, the length, and whether it is the echo.

use std::env;
use std::error::Error;
use std::io::{self, Cursor, Read, Write};
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bhttp::{Message, Mode};
use futures::executor::block_on;
use futures::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use ohttp::ClientRequest;

type Res<T> = Result<T, Box<dyn Error>>;

// One request over a connection that the server closes.
fn post(address: &str, path: &str, tee: &str, kind: &str, body: &[u8]) -> Res<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;

    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: message/ohttp-{kind}\r\nX-TEE-ID: {tee}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)?;

    let mut all = Vec::new();
    stream.read_to_end(&mut all)?;

    let response = Message::read_http(&mut Cursor::new(&all[..]))?;
    let status = response.control().status().ok_or("no status")?;

    Ok((status.code(), response.content().to_vec()))
}

fn single(config: &[u8], text: &[u8], send: impl Fn(&[u8]) -> Res<(u16, Vec<u8>)>) -> Res<Vec<u8>> {
    let (sealed, client) = ClientRequest::from_encoded_config(config)?.encapsulate(text)?;
    let (status, answer) = send(&sealed)?;

    println!("relay {status}");
    Ok(client.decapsulate(&answer)?)
}

// The client writes where it is told; a shared buffer lets us read it there.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Vec<u8>>>);

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, b: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().extend_from_slice(b);
        Poll::Ready(Ok(b.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn chunked(
    config: &[u8],
    text: &[u8],
    send: impl Fn(&[u8]) -> Res<(u16, Vec<u8>)>,
) -> Res<Vec<u8>> {
    let wire = Wire::default();
    let request = ClientRequest::from_encoded_config(config)?;
    let mut client = request.encapsulate_stream(wire.clone())?;

    block_on(async {
        client.write_all(text).await?;
        client.close().await
    })?;

    let sealed = wire.0.lock().unwrap().clone();
    let (status, answer) = send(&sealed)?;

    println!("relay {status}");

    let mut opened = Vec::new();
    let mut response = client.response(&answer[..])?;

    block_on(response.read_to_end(&mut opened))?;
    Ok(opened)
}

fn main() -> Res<()> {
    let args: Vec<String> = env::args().collect();
    let [_, address, path, tee, config, mode, size] = &args[..] else {
        return Err("see the comment in it".into());
    };

    let content = vec![b'a'; size.parse()?];
    let mut request = Message::request(
        b"POST".to_vec(),
        b"https".to_vec(),
        b"inside.example".to_vec(),
        b"/echo".to_vec(),
    );
    request.put_header("content-type", "text/plain");
    request.write_content(&content);

    let mut text = Vec::new();
    request.write_bhttp(Mode::KnownLength, &mut text)?;

    let config = hex::decode(config)?;
    let opened = match mode.as_str() {
        "single" => single(&config, &text, |b| post(address, path, tee, "req", b))?,
        _ => chunked(&config, &text, |b| {
            post(address, path, tee, "chunked-req", b)
        })?,
    };

    let answer = Message::read_bhttp(&mut Cursor::new(&opened[..]))?;
    let status = answer.control().status().ok_or("no status inside")?;
    let expected = [b"POST /echo ", &content[..]].concat();

    println!("inside {}", status.code());
    println!("length {}", answer.content().len());
    println!("echo {}", answer.content() == expected);
    Ok(())
}
