#!/usr/bin/perl
# The same requests, sent plainly and sealed, have the same answers.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use MIME::Base64 qw(encode_base64);
use Tee::Fcgi;

my $keys = Tee::Sealed::keys();
my $fcgi = Tee::Fcgi->new;

# answers as the path says, or tells what it was asked

my %answer = (
    '/cookies' => sub { $_[0]->respond('200 OK', [ 'Set-Cookie' => 'a=1; Path=/', 'X-One' => 1, 'Set-Cookie' => 'b=2', 'X-One' => 2 ], 'x') },
    '/chunked' => sub {
        $_[0]->send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n");
        $_[0]->send_chunk("part $_\n") for 1 .. 50;
        $_[0]->send("0\r\n\r\n");
        return 1;
    },
    '/close' => sub { $_[0]->send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", 'until the end' x 1000); return 0 },
    '/none' => sub { $_[0]->send("HTTP/1.1 204 No Content\r\nX-Kept: 1\r\n\r\n") },
    '/same' => sub { $_[0]->send("HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\nCache-Control: max-age=1\r\n\r\n") },
    '/fail' => sub { $_[0]->respond('500 Internal Server Error', [ 'Content-Type' => 'a/b', 'Retry-After' => 5 ], '{"error":1}') },
    '/strange' => sub { $_[0]->respond('299 Whatever', [], 'strange') },
    '/unauthorized' => sub { $_[0]->respond('401 Unauthorized', [ 'WWW-Authenticate' => 'Basic realm="a"', 'WWW-Authenticate' => 'Bearer' ], 'no') },
    '/moved' => sub { $_[0]->respond('302 Found', [ Location => 'http://127.0.0.1:1/there', Refresh => '1; url=http://127.0.0.1:1/r' ], '') },
    '/accel' => sub { $_[0]->respond('200 OK', [ 'X-Accel-Redirect' => '/inner/file.txt', 'Content-Type' => 'x/y' ], '') },
    '/limits' => sub { $_[0]->respond('200 OK', [ 'X-Large' => 'v' x 10_000, Link => '</a>; rel=preload' ], 'large head') },
    '/big' => sub { $_[0]->respond('200 OK', [ 'Content-Type' => 'application/octet-stream' ], join '', map { chr($_) x (1 << 20) } 97 .. 116) },
    '/age' => sub { $_[0]->respond('200 OK', [ 'Cache-Control' => 'max-age=60', Age => 5, Vary => 'Accept', ETag => 'W/"1"',
        'Last-Modified' => 'Mon, 27 Jul 2009 12:28:53 GMT', Expires => 'Thu, 01 Jan 2037 00:00:00 GMT', 'Content-Language' => 'en' ], 'age' x 100) },
    '/interim' => sub { $_[0]->respond('200 OK', [ 'Content-Type' => 'text/html' ], '<p>text</p>') },
    '/auth' => sub { $_[0]->respond($_[1]{head} =~ /^x-user: (\w+)/mi ? $1 eq 'good' ? '204 No Content' : '403 Forbidden' : '401 Unauthorized',
        [ 'X-Who' => $1 // 'nobody', 'WWW-Authenticate' => 'Digest realm="r"' ], '') },
);
my $backend = backend(sub {
    my ($conn, $request) = @_;
    my ($path) = $request->{path} =~ m{^(/\w+)(?:\?|$)};
    return $answer{$path}->($conn, $request) if defined $path && $answer{$path};
    return $conn->respond('200 OK', [ 'Content-Type' => 'text/plain', 'X-Length' => length $request->{body} ],
        $request->{head} . substr $request->{body}, 0, 1000);
}, quiet => 1);

my $t = Tee::Nginx->new(
    files => {
        %{ $keys->{files} },
        'html/file.txt' => join('', map "line $_ of the file\n", 1 .. 500),
        'html/page.html' => '<html>' . 'text ' x 2000 . '</html>',
        'html/index.html' => 'the index',
        'html/404.html' => 'not here: a page',
        'html/ssi.shtml' => '<!--# set var="a" value="b" -->[<!--# echo var="a" -->] <!--# include virtual="/file.txt" -->'
            . '<!--# if expr="$arg_x = y" -->yes<!--# else -->no<!--# endif -->',
        users => "user:{PLAIN}secret\n",
    },
    vars => { backend => $backend->port, fcgi => $fcgi->port, conf => $keys->{conf} },
    http => <<'CONF');
    tee_gateway_keys main { %%conf%% }
    limit_req_zone $arg_who zone=req:1m rate=1r/m;
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;
    large_client_header_buffers 4 32k;
    proxy_http_version 1.1;
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    client_max_body_size 21m;
    client_body_buffer_size 64k;
    types { text/html html shtml; text/plain txt; application/json json; }
    charset_map small large { 6C 4C; 66 46; }
    map $arg_lang $greeting { default hello; de hallo; }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        server_name inside.example;
        root %%DIR%%/html;
        error_page 404 /404.html;
        port_in_redirect off;
        location = /ohttp {
            tee_gateway main;
            tee_gateway_target http://inside.example;
            tee_gateway_max_body 24m;
        }
        location = /other/ohttp { return 404; }
        location /top/ { alias %%DIR%%/; }
        location /static/ { alias %%DIR%%/html/; }
        location /inner/ { internal; alias %%DIR%%/html/; }
        location /b/ { proxy_pass http://127.0.0.1:%%backend%%/; proxy_buffer_size 16k; proxy_buffers 8 16k; }
        location /unbuffered/ { proxy_pass http://127.0.0.1:%%backend%%/; proxy_buffering off; proxy_request_buffering off; }
        location /intercept/ { proxy_pass http://127.0.0.1:%%backend%%/; proxy_intercept_errors on; error_page 500 =203 /file.txt; }
        location /redirect/ { proxy_pass http://127.0.0.1:%%backend%%/; proxy_redirect http://127.0.0.1:1/ https://new.example/; proxy_cookie_path / /new; }
        location /hide/ { proxy_pass http://127.0.0.1:%%backend%%/; proxy_hide_header X-One; }
        location /cached/ { proxy_pass http://127.0.0.1:%%backend%%/; proxy_cache cache; proxy_cache_key $uri$is_args$args; proxy_cache_valid 1m; proxy_force_ranges on;
            proxy_ignore_headers Set-Cookie;
            add_header X-Cache $upstream_cache_status; }
        location /down/ { proxy_pass http://127.0.0.1:1/; }
        location /down-page/ { proxy_pass http://127.0.0.1:1/; error_page 502 = @named; }
        location /small/ { client_max_body_size 1k; proxy_pass http://127.0.0.1:%%backend%%/; }
        location /fcgi/ { fastcgi_pass 127.0.0.1:%%fcgi%%; fastcgi_param REQUEST_URI $request_uri; fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_LENGTH $content_length; fastcgi_param QUERY_STRING $args; fastcgi_param SERVER_NAME $server_name;
            fastcgi_param CONTENT_TYPE $content_type; fastcgi_param REMOTE_ADDR $remote_addr; fastcgi_param SCHEME $scheme; }
        location /gzip/ { alias %%DIR%%/html/; gzip on; gzip_types text/plain; gzip_vary on; gzip_proxied any; gzip_http_version 1.0; gzip_min_length 100; }
        location /gzip-b/ { proxy_pass http://127.0.0.1:%%backend%%/; gzip on; gzip_types text/plain; gzip_min_length 10; gzip_vary on; }
        location /ssi/ { ssi on; alias %%DIR%%/html/; }
        location /recoded/ { alias %%DIR%%/html/; charset large; source_charset small; charset_types *; }
        location /charset/ { alias %%DIR%%/html/; charset utf-8; charset_types *; }
        location /headers/ { alias %%DIR%%/html/; add_header X-A 1; add_header X-B 2; add_header X-A 3 always; add_header X-Uri $request_uri; }
        location /expires/ { alias %%DIR%%/html/; expires max; }
        location /past/ { alias %%DIR%%/html/; expires epoch; }
        location /etag-off/ { alias %%DIR%%/html/; etag off; if_modified_since before; }
        location /type/ { alias %%DIR%%/html/; types { } default_type x/y; }
        location /auth/ { auth_basic "the realm"; auth_basic_user_file %%DIR%%/users; alias %%DIR%%/html/; }
        location /request/ { auth_request /check; auth_request_set $who $upstream_http_x_who; add_header X-Who $who always; alias %%DIR%%/html/; }
        location = /check { internal; proxy_pass http://127.0.0.1:%%backend%%/auth; proxy_pass_request_body off; proxy_set_header Content-Length ""; }
        location /limit/ { limit_req zone=req; limit_req_status 429; alias %%DIR%%/html/; }
        location /deny/ { deny all; alias %%DIR%%/html/; }
        location /deny-page/ { deny all; error_page 403 =410 @named; }
        location /except/ { limit_except GET { deny all; } alias %%DIR%%/html/; }
        location /any/ { satisfy any; deny all; auth_basic x; auth_basic_user_file %%DIR%%/users; alias %%DIR%%/html/; }
        location /text { return 200 "$greeting, $arg_lang\n"; }
        location /json { default_type application/json; return 201 '{"a":1}'; }
        location /go { return 302 /there?x=1; }
        location /far { return 307 https://far.example/; }
        location /forever { return 301 /relative; }
        location /relative { absolute_redirect off; return 303 /x; }
        location /gone { return 410; }
        location /nothing { return 204; }
        location /rewrite { rewrite ^/rewrite/(.*)$ /file.txt?from=$1 last; }
        location /permanent { rewrite ^ /elsewhere permanent; }
        location /try/ { try_files $uri @named; }
        location /try-code/ { try_files $uri =418; }
        location @named { add_header X-Named 1; return 200 "named: $uri $request_uri $args $status\n"; }
        location /if { if ($http_x_if) { return 202 $http_x_if; } return 203 none; }
        location /page { error_page 404 /404.html; return 404; }
        location /mirrored/ { mirror /mirror; proxy_pass http://127.0.0.1:%%backend%%/; }
        location = /mirror { internal; proxy_pass http://127.0.0.1:%%backend%%/none; }
        location /gif { empty_gif; }
        location /referer { valid_referers server_names *.good.example; if ($invalid_referer) { return 403; } return 200 ok; }
        location /upload/ { client_body_in_file_only clean; proxy_pass http://127.0.0.1:%%backend%%/; }
    }
CONF

my $g = Tee::Sealed->new(port => $t->port, to => $keys->{x25519}, scheme => 'http', timeout => 60);

my $file = 'the file';
my $plain = Tee::Http::request($t->port, GET => '/file.txt', [ Host => 'inside.example' ]);
my ($etag, $modified) = map scalar $plain->header($_), qw(etag last-modified);
my $mib = 'm' x (1 << 20);
my $basic = encode_base64('user:secret', '');

# name, method, path, fields, content; %s differs between the two; the names are
# those of the table in docs/ngx_http_tee_gateway_module.md

my @table = (
    'Files',
    [ 'a file' => GET => '/file.txt' ],
    [ 'HEAD of a file' => HEAD => '/file.txt' ],
    [ 'an index' => GET => '/' ],
    [ 'a directory without a slash' => GET => '/top/html' ],
    [ 'a location without a slash' => GET => '/b?x=1' ],

    'Conditions and ranges',
    [ 'not modified by date' => GET => '/file.txt', [ 'If-Modified-Since' => $modified ] ],
    [ 'not modified by tag' => GET => '/file.txt', [ 'If-None-Match' => $etag ] ],
    [ 'precondition failed' => GET => '/file.txt', [ 'If-Match' => '"other"' ] ],
    [ 'one range' => GET => '/file.txt', [ Range => 'bytes=10-99' ] ],
    [ 'the last bytes' => GET => '/file.txt', [ Range => 'bytes=-7' ] ],
    [ 'several ranges' => GET => '/file.txt', [ Range => 'bytes=0-4,10-19' ] ],
    [ 'a range beyond the end' => GET => '/file.txt', [ Range => 'bytes=999999-' ] ],
    [ 'If-Range that holds' => GET => '/file.txt', [ Range => 'bytes=0-4', 'If-Range' => $etag ] ],
    [ 'If-Range that does not' => GET => '/file.txt', [ Range => 'bytes=0-4', 'If-Range' => '"x"' ] ],
    [ 'a range of a proxied one' => GET => '/cached/age?%s', [ Range => 'bytes=0-4' ] ],

    'Methods and errors',
    [ 'POST to a file' => POST => '/file.txt', [], 'text' ],
    [ 'another method' => DELETE => '/file.txt' ],
    [ 'not found, with a page' => GET => '/missing' ],
    [ 'HEAD of what is not there' => HEAD => '/missing' ],
    [ 'error_page in a location' => GET => '/page' ],
    [ 'an internal location' => GET => '/inner/file.txt' ],

    'Paths',
    [ 'encoded characters' => GET => '/f%69le.txt?a=%20&b' ],
    [ 'encoded slashes and dots' => GET => '/static/..%2f/%2e/file.txt' ],
    [ 'several slashes' => GET => '//static///file.txt' ],
    [ 'a path out of the root' => GET => '/../../etc/passwd' ],

    'Redirects and rewriting',
    [ 'return text' => GET => '/text?lang=de' ],
    [ 'return JSON' => GET => '/json' ],
    [ 'HEAD of return' => HEAD => '/text' ],
    [ 'redirect' => GET => '/go' ],
    [ 'redirect elsewhere' => GET => '/far' ],
    [ 'redirect for ever' => GET => '/forever' ],
    [ 'redirect, relative' => GET => '/relative' ],
    [ 'rewrite and redirect' => GET => '/permanent' ],
    [ 'gone' => GET => '/gone' ],
    [ 'no content' => GET => '/nothing' ],
    [ 'rewrite' => GET => '/rewrite/x?y' ],
    [ 'try_files, found' => GET => '/try/../file.txt' ],
    [ 'try_files, named location' => GET => '/try/it?q=1' ],
    [ 'try_files, status' => GET => '/try-code/it' ],
    [ 'if' => GET => '/if', [ 'X-If' => 'then' ] ],
    [ 'if not' => GET => '/if' ],

    'Access',
    [ 'auth_basic, nobody' => GET => '/auth/file.txt' ],
    [ 'auth_basic, wrong' => GET => '/auth/file.txt', [ Authorization => 'Basic eDp5' ] ],
    [ 'auth_basic, right' => GET => '/auth/file.txt', [ Authorization => "Basic $basic" ] ],
    [ 'auth_request, nobody' => GET => '/request/file.txt' ],
    [ 'auth_request, wrong' => GET => '/request/file.txt', [ 'X-User' => 'bad' ] ],
    [ 'auth_request, right' => GET => '/request/file.txt', [ 'X-User' => 'good' ] ],
    [ 'auth_request, with content' => POST => '/request/file.txt', [ 'X-User' => 'good' ], 'text' ],
    [ 'satisfy any' => GET => '/any/file.txt', [ Authorization => "Basic $basic" ] ],
    [ 'deny' => GET => '/deny/file.txt' ],
    [ 'deny, with a page' => GET => '/deny-page/x' ],
    [ 'limit_except' => POST => '/except/file.txt', [], 'x' ],

    'Limits',
    [ 'limit_req, the first' => GET => '/limit/file.txt?who=%s' ],
    [ 'limit_req, the second' => GET => '/limit/file.txt?who=%s' ],
    [ 'referer' => GET => '/referer', [ Referer => 'http://bad.example/' ] ],

    'Fields',
    [ 'add_header' => GET => '/headers/file.txt' ],
    [ 'add_header, not found' => GET => '/headers/missing' ],
    [ 'expires' => GET => '/expires/file.txt' ],
    [ 'expires in the past' => GET => '/past/file.txt' ],
    [ 'without a tag' => GET => '/etag-off/file.txt', [ 'If-Modified-Since' => $modified ] ],
    [ 'another type' => GET => '/type/file.txt' ],
    [ 'charset' => GET => '/charset/page.html' ],

    'Bodies made by filters',
    [ 'gzip' => GET => '/gzip/file.txt', [ 'Accept-Encoding' => 'gzip' ] ],
    [ 'gzip, not asked for' => GET => '/gzip/file.txt' ],
    [ 'gzip, HEAD' => HEAD => '/gzip/file.txt', [ 'Accept-Encoding' => 'gzip' ] ],
    [ 'gzip of a proxied one' => GET => '/gzip-b/chunked', [ 'Accept-Encoding' => 'gzip' ] ],
    [ 'recoded' => GET => '/recoded/file.txt' ],
    [ 'SSI' => GET => '/ssi/ssi.shtml?x=y' ],
    [ 'SSI, HEAD' => HEAD => '/ssi/ssi.shtml' ],
    [ 'a GIF' => GET => '/gif' ],

    'FastCGI',
    [ 'FastCGI' => GET => '/fcgi/x?q=1' ],
    [ 'FastCGI, with content' => POST => '/fcgi/x', [ 'Content-Type' => 'a/b' ], 'content' x 10_000 ],

    'Proxied requests',
    [ 'proxied' => GET => '/b/x?y=%%20', [ 'X-A' => 1, 'X-B' => 'b', 'X-A' => 2, 'User-Agent' => 'it', Accept => '*/*' ] ],
    [ 'proxied, cookies' => GET => '/b/x', [ Cookie => 'a=1; b=2', 'X-Forwarded-For' => '192.0.2.1' ] ],
    [ 'proxied, a large head' => GET => '/b/x', [ Cookie => 'c' x 20_000 ] ],
    [ 'proxied, content' => POST => '/b/x', [ 'Content-Type' => 'a/b' ], 'content' ],
    [ 'proxied, PUT of nothing' => PUT => '/b/x', [ 'Content-Length' => 0 ], '' ],
    [ 'proxied, 1 MiB' => POST => '/b/x', [], $mib ],
    [ 'proxied, 20 MiB' => POST => '/b/x', [], $mib x 20 ],
    [ 'proxied, 20 MiB unbuffered' => POST => '/unbuffered/x', [], $mib x 20 ],
    [ 'content in a file' => POST => '/upload/x', [], 'y' x 300_000 ],
    [ 'too much content' => POST => '/small/x', [], 'y' x 2000 ],

    'Proxied responses',
    [ '20 MiB come back' => GET => '/b/big' ],
    [ '20 MiB come back unbuffered' => GET => '/unbuffered/big' ],
    [ 'in chunks' => GET => '/b/chunked' ],
    [ 'until the end' => GET => '/b/close' ],
    [ 'HEAD of a proxied one' => HEAD => '/b/x' ],
    [ 'the backend says 204' => GET => '/b/none' ],
    [ 'the backend says 304' => GET => '/b/same' ],
    [ 'the backend fails' => GET => '/b/fail' ],
    [ 'an unusual status' => GET => '/b/strange' ],
    [ 'the backend asks who it is' => GET => '/b/unauthorized' ],
    [ 'two cookies' => GET => '/b/cookies' ],
    [ 'fields about storing' => GET => '/b/age' ],
    [ 'a large field' => GET => '/b/limits' ],
    [ 'intercepted' => GET => '/intercept/fail' ],
    [ 'the backend redirects' => GET => '/redirect/moved' ],
    [ 'cookies rewritten' => GET => '/redirect/cookies' ],
    [ 'a field hidden' => GET => '/hide/cookies' ],
    [ 'X-Accel-Redirect' => GET => '/b/accel' ],

    'Failures, caches, mirrors',
    [ 'the backend is away' => GET => '/down/' ],
    [ 'the backend is away, with a page' => GET => '/down-page/' ],
    [ 'not stored yet' => GET => '/cached/cookies?%s' ],
    [ 'stored' => GET => '/cached/cookies?%s' ],
    [ 'mirrored' => POST => '/mirrored/x', [], 'content' ],
);

# What belongs to a connection, or to a message's own framing, may differ; and
# so does what says which time it is, or numbers what is only numbered.

my %apart = map { $_ => 1 } qw(date connection transfer-encoding server keep-alive);

sub essence {
    my ($r, $path) = @_;
    my @fields = map [ lc $_->[0], $_->[1] ], grep !$apart{ lc $_->[0] }, @{ $r->{headers} };
    my ($length) = map $_->[1], grep $_->[0] eq 'content-length', @fields;
    my ($boundary) = map $_->[1] =~ /boundary=(\w+)/, @fields;
    my $text = join '', map "$_->[0]: $_->[1]\n", grep $_->[0] ne 'content-length', @fields;
    my $body = $r->{body};
    $path = quotemeta $path;
    s/\Q$boundary\E/BOUNDARY/g for defined $boundary ? ($text, $body) : ();
    s/who=\w+|\?(?:plain|whole|parts)\b/?/g for $text, $body;
    $body =~ s/^(?:connection|content-length|transfer-encoding): .*\r\n//mig if $text =~ /^x-length/m;
    return { status => $r->{status}, fields => $text, length => length $body, body => $body, said => $length };
}

sub brief {
    my ($e) = @_;
    return join "\n", $e->{status}, $e->{fields}, length($e->{body}), substr $e->{body}, 0, 300;
}

my %sealed = (whole => $g, parts => $g->with(chunked => 1));

my (@sections, %names);

for my $case (@table) {
    ref $case ? push @{ $names{ $sections[-1] } }, $case->[0] : push @sections, $case;
}

my %row = slurp(root() . '/docs/ngx_http_tee_gateway_module.md') =~ /^\| ([^|\n]+) \| ([^|\n]+) \|$/mg;
is $row{$_} // '', join('; ', @{ $names{$_} }), "the documentation says what is compared: $_" for @sections;

for my $case (grep ref, @table) {
    my ($name, $method, $path, $fields, $content) = @$case;
    my @fields = @{ $fields // [] };

    # names are in lower case inside, which a backend may see
    $fields[ 2 * $_ ] = lc $fields[ 2 * $_ ] for 0 .. @fields / 2 - 1;
    my $at = $path =~ s/%s/plain/r;
    my $plain = essence(Tee::Http::request($t->port, $method => $at =~ s/%%/%/r,
        [ Host => 'inside.example', @fields ], $content, timeout => 60), $at);

    for my $form (qw(whole parts)) {
        my $at = $path =~ s/%s/$form/r;
        my $answer = $sealed{$form}->request($method => $at =~ s/%%/%/r, content => $content // '',
            headers => [ map [ $fields[ 2 * $_ ], $fields[ 2 * $_ + 1 ] ], 0 .. @fields / 2 - 1 ]);
        my $sealed = essence($answer, $at);

        # bodies may be long
        my $same = $plain->{body} eq $sealed->{body} && $plain->{status} == $sealed->{status} && $plain->{fields} eq $sealed->{fields};

        # a length need not be told, but has to be right
        $same &&= $sealed->{said} == ($plain->{said} // $plain->{length}) if defined $sealed->{said};
        ok $same, "$name, $form: status $plain->{status}, $plain->{length} bytes"
            or diag "sealed: ", brief($sealed), "\n\nplain: ", brief($plain), "\n", $answer->{error} // '';
    }
}

# The comparison finds what it is there for.

{
    my $one = essence($t->get('/text?lang=de', [ Host => 'inside.example' ]), '/');
    my $two = essence($t->get('/text?lang=en', [ Host => 'inside.example' ]), '/');
    isnt $one->{body}, $two->{body}, 'another body is another';
    $two = essence($t->get('/headers/file.txt', [ Host => 'inside.example' ]), '/');
    like $two->{fields}, qr/x-a: 1\nx-b: 2\nx-a: 3\n/, 'fields are compared in order';

    # and filters have something to do
    my $say = sub { my ($path) = @_; return $g->request(GET => $path, headers => [ [ 'accept-encoding' => 'gzip' ] ]) };
    like $say->('/recoded/file.txt')->{body}, qr/^Line 1 oF the FiLe$/m, 'letters are changed';
    like $say->('/ssi/ssi.shtml?x=y')->{body}, qr/^\[b\] line 1 of.*yes$/s, 'SSI is run';
    is $say->('/gzip/file.txt')->header('content-encoding'), 'gzip', 'and so is gzip';
}

$t->finish;
done_testing;
