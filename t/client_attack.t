#!/usr/bin/perl
# Whoever stands between client and enclave: nothing of what it changes may
# reach an application, and what is cut must not look complete.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Roles;
use Tee::Test;

use JSON::PP;

my $json = JSON::PP->new->utf8->canonical;
my @hello = map "data: $_\n\n", map(qq({"delta":"word $_"}), 1 .. 6), '[DONE]';
my $dir = scratch();
my $mark = "\n--opengradient-ohttp-billing-v1--\n";

# the parts of a chunked response: nonce, chunks

sub chunks {
    my ($bytes) = @_;
    my @parts = substr $bytes, 0, 32, '';
    while (length $bytes) {
        my $n = ord $bytes;
        my $head = 1;
        if ($n >= 64) { $n = (unpack 'n', $bytes) & 0x3fff; $head = 2 }
        push @parts, $n ? substr $bytes, 0, $head + $n, '' : substr $bytes, 0, length $bytes, '';
    }
    return @parts;
}

sub flip { my ($bytes, $at) = @_; substr($bytes, $at, 1) ^= "\1"; return $bytes }

# what a relay may do to an answer: by the path that it is asked with

my %whole = (
    flip_nonce => sub { flip($_[0], 0) }, flip => sub { flip($_[0], 40) }, flip_tag => sub { flip($_[0], -1) },
    cut_0 => sub { '' }, cut_nonce => sub { substr $_[0], 0, 20 }, cut_47 => sub { substr $_[0], 0, 47 }, cut_1 => sub { substr $_[0], 0, -1 },
    more => sub { $_[0] . "\0" }, twice => sub { $_[0] . $_[0] }, zeros => sub { "\0" x length $_[0] },
);
my %stream = (
    flip_nonce => sub { flip($_[0], 0) }, flip_first => sub { my @c = chunks(@_); $c[1] = flip($c[1], -1); join '', @c },
    flip_second => sub { my @c = chunks(@_); $c[2] = flip($c[2], -1); join '', @c },
    flip_last => sub { flip($_[0], -1) },
    swap => sub { my @c = chunks(@_); @c[ 1, 2 ] = @c[ 2, 1 ]; join '', @c },
    swap_later => sub { my @c = chunks(@_); @c[ 3, 4 ] = @c[ 4, 3 ]; join '', @c },
    drop_first => sub { my @c = chunks(@_); splice @c, 1, 1; join '', @c },
    drop_middle => sub { my @c = chunks(@_); splice @c, 3, 1; join '', @c },
    drop_last => sub { my @c = chunks(@_); pop @c; join '', @c },
    only_nonce => sub { substr $_[0], 0, 32 }, cut_1 => sub { substr $_[0], 0, -1 }, nothing => sub { '' },
    repeat => sub { my @c = chunks(@_); join '', @c[ 0 .. 3 ], $c[3], @c[ 4 .. $#c ] },
    final_early => sub { my @c = chunks(@_); join '', @c[ 0 .. 2 ], "\0" . substr $c[3], 1 },
    more => sub { $_[0] . "\0" x 20 },
    bill => sub { my @c = chunks(@_); my $last = pop @c; join '', @c, $mark, pack('N/a', '{"cost_opg":"1"}'), $last },
    huge => sub { my @c = chunks(@_); join '', @c[ 0, 1 ], "\xc0\0\0\1\0\0\0\0", 'x' x 1000 },
    large => sub { my @c = chunks(@_); join '', @c[ 0, 1 ], "\x80\x10\0\0", 'x' x 1000 },
    zeros => sub { "\0" x length $_[0] },
);

my $roles = Tee::Roles->new(
    model => sub {
        my ($conn, $request) = @_;
        if ($request->{body} =~ /"stream": *true/) {
            $conn->send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
            $conn->send_chunk($_) for @hello;
            return $conn->send("0\r\n\r\n");
        }
        return $conn->respond('200 OK', [ 'Content-Type' => 'application/json' ], '{"answer":"' . 'word ' x 20 . '"}');
    },
    relay => sub {
        my ($conn, $request, $forward) = @_;
        my (undef, $what, $name) = split m{/}, $request->{path};
        my $r = $forward->();
        my $type = $r->header('content-type');
        my $body = $r->{body};
        my $send = sub { $conn->respond('200 OK', [ 'Content-Type' => $_[1] // $type ], $_[0]) };

        return $send->($whole{$name}->($body)) if $what eq 'whole';

        if ($what eq 'stream' || $what eq 'slow') {
            my $bytes = $what eq 'slow' ? $body : $stream{$name}->($body);

            # with a length, without one, and byte by byte
            return $send->($bytes) if $what eq 'stream';
            $conn->send("HTTP/1.1 200 OK\r\nContent-Type: $type\r\nTransfer-Encoding: chunked\r\n\r\n");
            $conn->send_chunk($_) for split //, $bytes;
            return $conn->send("0\r\n\r\n");
        }

        if ($what eq 'cut') {
            $conn->send("HTTP/1.1 200 OK\r\nContent-Type: $type\r\nContent-Length: " . length($body) . "\r\n\r\n" . substr $body, 0, $name);
            return 0;
        }

        if ($what eq 'eof') {
            $conn->send("HTTP/1.1 200 OK\r\nContent-Type: $type\r\nConnection: close\r\n\r\n" . substr $body, 0, $name);
            return 0;
        }

        return $conn->send("HTTP/1.1 200 OK\r\nContent-Type: $type\r\nContent-Length: 100000\r\n\r\nxx") && $conn->reset if $what eq 'reset';

        if ($what eq 'plain') {
            my ($status, $plain) = split /-/, $name;
            return $conn->respond("$status X", [ 'Content-Type' => $plain eq 'json' ? 'application/json' : 'text/event-stream', 'X-TEE-Verified' => 'forged' ],
                $plain eq 'json' ? '{"answer":"forged"}' : "data: forged\n\n");
        }

        return $conn->respond('200 OK', [ 'Content-Type' => 'message/ohttp-res' ], $body) if $what eq 'as_whole';
        return $conn->respond('200 OK', [ 'Content-Type' => 'message/ohttp-chunked-res' ], $body) if $what eq 'as_stream';
        return $conn->respond('200 OK', [ 'Content-Type' => $type, 'Content-Encoding' => 'gzip' ], $body) if $what eq 'encoded';
        return $conn->respond('304 Not Modified', [ 'Content-Type' => $type, ETag => '"x"' ], '') if $what eq 'not_modified';
        return $conn->respond("$name Status", [ 'Content-Type' => $type ], $body) if $what eq 'status';

        if ($what eq 'fields') {
            return $conn->respond('200 OK', [ 'Content-Type' => $type, 'Set-Cookie' => 'forged=1', 'X-TEE-Verified' => 'true', 'Access-Control-Allow-Origin' => 'forged',
                'Cache-Control' => 'forged', 'X-Accel-Redirect' => '/secret', 'Link' => '<forged>', 'Accept-Ranges' => 'bytes', ETag => '"forged"',
                'Last-Modified' => 'Sun, 06 Nov 1994 08:49:37 GMT', Location => 'http://forged/', Refresh => '0;forged', Trailer => 'forged' ], $body);
        }

        if ($what eq 'trailers') {
            $conn->send("HTTP/1.1 200 OK\r\nContent-Type: $type\r\nTrailer: X-Forged\r\nTransfer-Encoding: chunked\r\n\r\n");
            $conn->send_chunk($body);
            return $conn->send("0\r\nX-Forged: 1\r\n\r\n");
        }

        if ($what eq 'again') {
            return $conn->respond('503 Busy', [ 'Content-Type' => 'text/plain', 'Retry-After' => slurp("$dir/again"), 'WWW-Authenticate' => 'forged', 'Set-Cookie' => 'forged' ], 'forged');
        }

        if ($what eq 'endless') {
            # what cannot be believed need not be read to its end
            $conn->send("HTTP/1.1 200 OK\r\nContent-Type: $type\r\nTransfer-Encoding: chunked\r\n\r\n");
            my $n = 0;
            $conn->send_chunk(flip($body, 40));
            1 while $conn->send_chunk('x' x 10000) && ++$n < 100_000;
            $conn->note("endless $n");
            return 0;
        }

        if ($what eq 'replay') {
            # an answer to another request
            my $file = "$dir/replay-$name";
            spew($file, $body) if !-e $file;
            return $send->(slurp($file));
        }

        return $send->($body);
    },
    client => <<'CONF');
        location = /secret { return 200 secret; }
        location ~ ^/(\w+)/(\w+)/ { return 404; }
CONF

{
    # a location for each path
    my @paths = ((map "whole/$_", keys %whole), (map "stream/$_", keys %stream), qw(slow/1 cut/0 cut/20 cut/40 cut/60 eof/0 eof/20 eof/40 eof/60 eof/120 reset/1
        plain/200-json plain/200-sse plain/201-json plain/204-json plain/301-json plain/302-json plain/400-json plain/500-json as_whole/1 as_stream/1 encoded/1
        not_modified/1 status/201 status/206 status/300 status/404 status/500 fields/1 trailers/1 again/1 endless/1 replay/1 replay/2 pass/1));
    my $t = $roles->nginx;
    my $locations = join '', map "        location = /$_/chat/completions { tee_client og; tee_client_buffer 100k; proxy_pass http://%%evil%%/$_; }\n", @paths;
    $t->{http} =~ s/^.*location ~ \^.*\n/$locations/m;
    $t->stop;
    $t->start;
}

my $t = $roles->nginx;
my $answer = '{"answer":"' . 'word ' x 20 . '"}';
my $all = join '', @hello;

is $roles->chat(path => '/pass/1/chat/completions')->{body}, $answer, 'an answer that is left alone';
is $roles->chat(path => '/pass/1/chat/completions', stream => 1)->{body}, $all, 'a stream';

# whole answers: an error in their place

for my $name (sort keys %whole) {
    my $r = $roles->chat(path => "/whole/$name/chat/completions");
    problem($r, 502, 'broken_answer', "a whole answer: $name");
    unlike $r->{body}, qr/word/, "$name: nothing of it";
}

# streams: whole events from the front, and then no proper end

sub prefix {
    my ($r, $name, $most) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    if ($r->{status} == 502) {
        return problem($r, 502, 'broken_answer', "$name: an error");
    }

    is $r->{status}, 200, "$name: has begun";
    my $n = grep { length($r->{body}) >= length join '', @hello[ 0 .. $_ ] } 0 .. $#hello;
    is $r->{body}, join('', @hello[ 0 .. $n - 1 ]), "$name: what goes on is whole, and in its order";
    cmp_ok $n, '<=', $most, "$name: up to what has been changed";
    return is $r->{cut}, 1, "$name: and it is cut";
}

my %most = (flip_second => 1, flip_last => 6, swap_later => 2, drop_middle => 2, drop_last => 6, cut_1 => 6, repeat => 3, final_early => 2, more => 6, bill => 6, huge => 1, large => 1);

for my $name (sort keys %stream) {
    prefix($roles->chat(path => "/stream/$name/chat/completions", stream => 1), "a stream: $name", $most{$name} // 0);
}

is $roles->chat(path => '/slow/1/chat/completions', stream => 1)->{body}, $all, 'a stream byte by byte is the same';
is $roles->chat(path => '/slow/1/chat/completions')->{body}, $answer, 'and so is an answer';

# cut by the connection

for my $n (0, 20, 40, 60) {
    problem($roles->chat(path => "/cut/$n/chat/completions"), 502, 'broken_answer', "an answer that is cut after $n bytes");
    problem($roles->chat(path => "/eof/$n/chat/completions"), 502, 'broken_answer', "one without a length, after $n");
    prefix($roles->chat(path => "/cut/$n/chat/completions", stream => 1), "a stream that is cut after $n bytes", 1);
}

prefix($roles->chat(path => '/eof/120/chat/completions', stream => 1), 'a stream without a length', 2);
problem($roles->chat(path => '/reset/1/chat/completions'), 502, 'broken_answer', 'an answer that is reset');

# not sealed

for my $plain (qw(200-json 200-sse 201-json 301-json 302-json)) {
    for my $stream (0, 1) {
        my $r = $roles->chat(path => "/plain/$plain/chat/completions", stream => $stream);
        problem($r, 502, 'not_sealed', "a plain answer: $plain");
        unlike "$r->{head}$r->{body}", qr/forged/, "$plain: nothing of it";
    }
}

problem($roles->chat(path => "/plain/$_-json/chat/completions"), $_, 'relay_error', "a plain error: $_") for 400, 500;
for my $case ([ 7, 7 ], [ 'Sun, 06 Nov 1994 08:49:37 GMT' => 'Sun, 06 Nov 1994 08:49:37 GMT' ], map [ $_ => undef ], '7, 8', 'soon', 'user-1234', "\xff", '99999999999') {
    my ($said, $passed) = @$case;
    spew("$dir/again", $said);
    my $r = $roles->chat(path => '/again/1/chat/completions');
    is_deeply [ $r->{status}, scalar $r->header('retry-after') ], [ 503, $passed ], "when to try again: $said";
    unlike $r->{head}, qr/forged/, 'nothing else is said';
}

problem($roles->chat(path => '/plain/204-json/chat/completions'), 502, 'not_sealed', 'no content');
problem($roles->chat(path => '/encoded/1/chat/completions'), 502, 'not_sealed', 'an encoded one');
problem($roles->chat(path => '/not_modified/1/chat/completions'), 502, 'not_sealed', 'another one that the client should have');
problem($roles->chat(path => '/as_stream/1/chat/completions'), 502, 'broken_answer', 'an answer that is called a stream');
problem($roles->chat(path => '/as_whole/1/chat/completions', stream => 1), 502, 'broken_answer', 'a stream that is called an answer');
is $roles->chat(path => '/status/201/chat/completions')->{status}, 200, 'what status is outside is not believed';
is $roles->chat(path => '/status/206/chat/completions')->{status}, 200, 'nor that it is a part';
problem($roles->chat(path => '/status/300/chat/completions'), 502, 'not_sealed', 'sealed or not, no redirect');
problem($roles->chat(path => "/status/$_/chat/completions"), $_, 'relay_error', "sealed or not, $_ is an error") for 404, 500;

for my $stream (0, 1) {
    my $r = $roles->chat(path => '/fields/1/chat/completions', stream => $stream, headers => [ 'If-None-Match' => '*', 'If-Modified-Since' => 'Sun, 06 Nov 1994 08:49:37 GMT', Range => 'bytes=0-1' ]);
    is_deeply [ $r->{status}, $r->{body} ], [ 200, $stream ? $all : $answer ], 'fields outside change nothing';
    unlike $r->{head}, qr/forged|verified|etag|last-modified|accept-ranges|location|trailer/i, 'and are not passed on';
    $r = $roles->chat(path => '/trailers/1/chat/completions', stream => $stream);
    is $r->{body}, $stream ? $all : $answer, 'trailers outside neither';
}

# answers to somebody else

for my $stream (0, 1) {
    my $path = '/replay/' . ($stream + 1) . '/chat/completions';
    is $roles->chat(path => $path, stream => $stream)->{status}, 200, 'an answer is recorded';
    problem($roles->chat(path => $path, stream => $stream), 502, 'broken_answer', 'and it is none to the same request');
}

# connections, afterwards

{
    my $c = $t->client;
    for my $path (qw(whole/flip whole/cut_1 plain/200-json plain/500-json stream/nothing cut/40 pass/1)) {
        my $r = $roles->chat(client => $c, path => "/$path/chat/completions");
        ok $r && $r->{status} == ($path eq 'plain/500-json' ? 500 : $path eq 'pass/1' ? 200 : 502), "over one connection: $path";
        $c = $t->client if $path eq 'cut/40';
    }
}

problem($roles->chat(path => '/endless/1/chat/completions'), 502, 'broken_answer', 'an answer without an end');
eventually { grep /^endless (\d+)/ && $1 < 10_000, $roles->evil->notes } 'is not read to its end';

my $h2 = sub {
    my ($path, $stream) = @_;
    my $file = $t->write('h2.json', $json->encode({ model => 'm', messages => [ { role => 'user', content => 'x' } ], $stream ? (stream => JSON::PP::true) : () }));
    my $out = `curl -sN --http2-prior-knowledge -w '\n%{http_code} %{exitcode}' -H 'Content-Type: application/json' --data-binary \@$file http://127.0.0.1:@{[ $t->port('h2') ]}$path/chat/completions`;
    return $out =~ s/\n(\d+) (\d+)\z// ? ($out, $1, $2) : ($out);
};

is_deeply [ ($h2->('/whole/flip'))[ 1, 2 ] ], [ 502, 0 ], 'HTTP/2: an error in the place of an answer';
my ($body, $status, $error) = $h2->('/stream/drop_last', 1);
is_deeply [ $error, index $all, $body ], [ 92, 0 ], 'HTTP/2: a stream that is cut is reset';
is_deeply [ $h2->('/pass/1', 1) ], [ $all, 200, 0 ], 'HTTP/2: one that is not';

unlike $t->log, qr/word/, 'nothing of what was said is in the log';
$t->finish;
done_testing;
