// A gateway made of the ohttp and bhttp crates, for clients of ours.
//
//     rust-gateway
//
// Prints its port and the hex of its key configuration, and serves until its
// standard input ends.  Inside it answers with the method, the path, the field
// "x-mine" and the content of what it was asked, and by the path:
//
//     /status-NNN      with this status
//     /big-N           with N bytes
//     /live            in two parts, the second when somebody asks for GET /go
//     /cut             without the final chunk
//
// Whole requests are answered whole, chunked ones in chunks of 1000 bytes.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll};
use std::thread;

use bhttp::{Message, Mode, StatusCode};
use futures::executor::block_on;
use futures::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use ohttp::hpke::{Aead, Kdf, Kem};
use ohttp::{KeyConfig, Server, SymmetricSuite};

type Res<T> = Result<T, Box<dyn Error>>;
type Gate = Arc<(Mutex<bool>, Condvar)>;

// What is written goes out as one chunk of HTTP.
struct Chunks<'a>(&'a TcpStream);

impl AsyncWrite for Chunks<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, b: &[u8]) -> Poll<io::Result<usize>> {
        let mut stream = self.0;
        let all = [format!("{:x}\r\n", b.len()).as_bytes(), b, b"\r\n"].concat();
        Poll::Ready(stream.write_all(&all).map(|()| b.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = self.0;
        Poll::Ready(stream.write_all(b"0\r\n\r\n"))
    }
}

// (first line, media type, body)
fn read_request(stream: &TcpStream) -> Res<(String, String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut kind, mut length) = (String::new(), String::new(), 0);

    reader.read_line(&mut first)?;

    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;

        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-type" => kind = value.trim().into(),
            "content-length" => length = value.trim().parse()?,
            _ => (),
        }
    }

    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((first, kind, body))
}

fn answer(request: &[u8], mode: Mode) -> Res<(String, Vec<u8>)> {
    let request = Message::read_bhttp(&mut Cursor::new(request))?;
    let control = request.control();
    let path = String::from_utf8(control.path().ok_or("no path")?.to_vec())?;
    let name = path.rsplit('/').next().unwrap_or("").to_string();
    let number = |prefix| name.strip_prefix(prefix).and_then(|n: &str| n.parse::<usize>().ok());
    let status = u16::try_from(number("status-").unwrap_or(200))?;
    let mut response = Message::response(StatusCode::try_from(status)?);

    response.put_header("content-type", "text/plain");
    response.put_header("x-rust", "yes");

    if let Some(n) = number("big-") {
        response.write_content(vec![b'x'; n]);
    } else if name == "live" {
        response.write_content(b"one");
        response.write_content(b"two");
    } else {
        let mine = request.header().get(b"x-mine").unwrap_or(b"none");
        let (method, authority) = (control.method().ok_or("no method")?, control.authority().ok_or("no authority")?);

        response.write_content([method, b" ", authority, path.as_bytes(), b" ", mine, b" ", request.content()].concat());
    }

    let mut text = Vec::new();
    response.write_bhttp(mode, &mut text)?;
    Ok((name, text))
}

fn chunked(server: Server, mut stream: &TcpStream, body: &[u8], gate: &Gate) -> Res<()> {
    let mut request = server.decapsulate_stream(body);
    let mut opened = Vec::new();

    block_on(request.read_to_end(&mut opened))?;

    let (name, text) = answer(&opened, Mode::IndeterminateLength)?;

    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: message/ohttp-chunked-res\r\nIncremental: ?1\r\n\
          Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;

    let mut response = request.response(Chunks(stream))?;

    if name == "live" {
        let at = text.windows(6).position(|w| w == b"onetwo").ok_or("no text")? + 3;

        block_on(response.write_all(&text[..at]))?;

        let mut open = gate.0.lock().unwrap();
        while !*open {
            open = gate.1.wait(open).unwrap();
        }
        block_on(response.write_all(&text[at..]))?;
    } else {
        for piece in text.chunks(1000) {
            block_on(response.write_all(piece))?;
        }
    }

    if name == "cut" {
        stream.write_all(b"0\r\n\r\n")?;
        return Ok(());
    }

    block_on(response.close())?;
    Ok(())
}

fn serve(config: KeyConfig, mut stream: &TcpStream, gate: &Gate) -> Res<()> {
    let (first, kind, body) = read_request(stream)?;
    let server = Server::new(config)?;

    if first.starts_with("GET /go ") {
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")?;
        return Ok(());
    }

    if kind == "message/ohttp-chunked-req" {
        return chunked(server, stream, &body, gate);
    }

    let (request, response) = server.decapsulate(&body)?;
    let sealed = response.encapsulate(&answer(&request, Mode::KnownLength)?.1)?;

    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: message/ohttp-res\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        sealed.len()
    )?;
    stream.write_all(&sealed)?;
    Ok(())
}

fn main() -> Res<()> {
    let suites = vec![SymmetricSuite::new(Kdf::HkdfSha256, Aead::Aes128Gcm)];
    let config = KeyConfig::new(7, Kem::X25519Sha256, suites)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let gate = Gate::default();

    println!("{} {}", listener.local_addr()?.port(), hex::encode(config.encode()?));

    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, gate) = (config.clone(), gate.clone());

            thread::spawn(move || {
                if let Err(e) = serve(config, &stream, &gate) {
                    eprintln!("rust-gateway: {e}");
                    let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                }
            });
        }
    });

    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
