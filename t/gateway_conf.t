#!/usr/bin/perl
# The directives of a gateway: what they take, how they are inherited.  Those of
# keys and of replay have tests of their own.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my $keys = Tee::Sealed::keys();
my %files = (%{ $keys->{files} }, 'og.key' => Tee::Ohttp::key_pem(Tee::Ohttp::keygen()));
my $top = 'tee_gateway_keys main { key 1 x25519.key; } tee_gateway_keys og { key 1 og.key; suite hkdf-sha256 chacha20-poly1305; }';

sub error {
    my ($location, $server, $http) = @_;
    $_ //= '' for $server, $http;
    return Tee::Nginx->conf_error(files => \%files, http => <<"CONF");
    $top $http
    server {
        listen 127.0.0.1:%%PORT_http%%;
        $server
        location = /ohttp { $location }
    }
CONF
}

my $gateway = 'tee_gateway main; tee_gateway_target a.test;';

# what works

is error($gateway), '', 'a gateway';
is error('tee_gateway main;'), '', 'without targets';
is error('tee_gateway main profile=rfc9458;'), '', 'with its profile';
is error('tee_gateway og profile=opengradient;'), '', 'and with the other one';
is error("$gateway tee_gateway_max_body 1k; tee_gateway_buffer_size 16k; tee_gateway_padding bucket;"), '', 'with its directives';
is error("$gateway tee_gateway_padding $_;"), '', "padding: $_" for qw(off bucket 16 1k 16m);
is error("tee_gateway main; tee_gateway_target $_;"), '', "a target: $_"
    for 'a.test', 'A.Test', 'https://a.test', 'http://a.test', 'HTTPS://a.test', 'a.test:8443', 'http://a.test:80', '127.0.0.1', '127.0.0.1:1',
    '"[::1]"', '"[::1]:8443"', 'localhost', 'a.test /', 'a.test /v1', 'a.test /v1/ /v2/', 'a.test:65535 /a-b_c.d~';
is error("$gateway tee_gateway_target b.test; tee_gateway_target http://a.test /x /y;"), '', 'several targets';
is error($gateway, '', 'tee_gateway_target b.test; tee_gateway_max_body 1m; tee_gateway_buffer_size 1m; tee_gateway_padding 64;'), '',
    'what may stand further out';
is error("$gateway tee_keys main;"), '', 'with the list of keys';
is error("$gateway client_max_body_size 1k;"), '', 'a limit that means nothing';

# what does not

like error('tee_gateway;'), qr/invalid number of arguments/, 'a gateway without keys';
like error('tee_gateway main profile=rfc9458 x;'), qr/invalid number of arguments/, 'with too much';
like error('tee_gateway none;'), qr/no "tee_gateway_keys none" block/, 'with keys that there are not';
like error('tee_gateway "";'), qr/no "tee_gateway_keys " block/, 'with keys without a name';
like error("tee_gateway main $_;"), qr/invalid parameter "\Q$_\E".*profile=rfc9458/, "a bad parameter: $_"
    for 'profile=', 'profile=rfc', 'profile=rfc9458x', 'profile=RFC9458', 'rfc9458', 'PROFILE=rfc9458';
like error("$gateway tee_gateway main;"), qr/duplicate/, 'a gateway twice';
like error($gateway, 'tee_gateway main;'), qr/not allowed here/, 'a gateway in a server';
like error($gateway, '', 'tee_gateway main;'), qr/not allowed here/, 'or in http';
like error("tee_gateway late;", 'location /x { }', ''), qr/no "tee_gateway_keys late" block before/, 'keys have to come before';

like error($gateway, 'location /og { tee_gateway main profile=opengradient; }'), qr/profile/, 'a key for two profiles';
like error('tee_gateway main profile=opengradient;'), qr/chacha20-poly1305/, 'keys that the profile cannot have';
like error('tee_gateway og profile=opengradient; tee_gateway_padding bucket;'), qr/tee_gateway_padding/, 'padding in a profile without';

like error("tee_gateway main; tee_gateway_target $_;"), qr/invalid target/, "a bad target: $_"
    for '""', 'https://', 'ftp://a.test', 'a.test/', 'a.test/v1', 'https://a.test/', 'user@a.test', 'a.test:0', 'a.test:65536', 'a.test:x',
    'a.test:', '"a test"', '*', '*.test', '.a.test', 'a..test', '"[::1"', '::1', 'a.test v1', 'a.test ""', 'a.test /../x', 'a.test /./x',
    'a.test /v1/..', 'a.test /%76', 'a.test /x?y', '"a.test /v1" x', "a.test '/a b'", 'a.test?x', 'a.test#x', 'a_b%2f.test', 'a.test /ok bad',
    'a.test "/x#y"', 'a.test /x\\\\y', 'x' x 300;
like error("tee_gateway main; tee_gateway_target;"), qr/invalid number of arguments/, 'a target that is none';

like error("$gateway tee_gateway_padding $_;"), qr/invalid value "\Q$_\E"/, "bad padding: $_" for qw(on 0 15 17m -1 x 1.5k buckets);
like error("$gateway tee_gateway_padding 16; tee_gateway_padding 16;"), qr/duplicate/, 'padding twice';
like error("$gateway tee_gateway_max_body $_;"), qr/tee_gateway_max_body/, "a bad limit: $_" for qw(x -1 1.5 0 0k);
like error("$gateway tee_gateway_max_body 1; tee_gateway_max_body 1;"), qr/duplicate/, 'a limit twice';
like error("$gateway tee_gateway_buffer_size $_;"), qr/tee_gateway_buffer_size/, "a bad buffer: $_" for qw(x -1 0 16383 15k);
like error("$gateway tee_gateway_buffer_size 16k; tee_gateway_buffer_size 16k;"), qr/duplicate/, 'a buffer twice';
like error($gateway, '', 'tee_gateway_max_body 0;'), qr/tee_gateway_max_body/, 'a bad limit that is inherited';
is error('', '', 'tee_gateway_max_body 0;'), '', 'where there is no gateway, it does no harm';

# merging

my $t = Tee::Nginx->new(files => \%files, http => <<"CONF");
    $top
    tee_gateway_target http.test;
    tee_gateway_max_body 300;
    tee_gateway_padding 256;
    server {
        listen 127.0.0.1:%%PORT_http%%;
        server_name a.test;
        location = /inherits { tee_gateway main; }
        location = /own { tee_gateway main; tee_gateway_target own.test; tee_gateway_target own2.test /v1; tee_gateway_max_body 400; tee_gateway_padding off; }
        location /outer { tee_gateway main; tee_gateway_target outer.test; location = /outer/in { } location = /outer/keys { tee_keys main; } }
        location = /bucket { tee_gateway main; tee_gateway_padding bucket; tee_gateway_max_body 64k; }
        location / { return 200 "\$arg_x"; }
    }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        server_name own.test;
        location / { return 200 "of its own"; }
    }
CONF

my $g = Tee::Sealed->new(port => $t->port, to => $keys->{x25519});

sub ask { my ($path, $authority, $inner) = @_; return $g->request(GET => $inner // '/', path => $path, authority => $authority) }

is ask('/inherits', 'http.test')->{status}, 200, 'targets are inherited';
is ask('/own', 'http.test')->{status}, 403, 'or replaced';
is ask('/own', 'own.test')->{body}, 'of its own', 'and the authority names the server';
is ask('/own', 'own2.test')->{status}, 403, 'a target with a path';
is ask('/own', 'own2.test', '/v1/x')->{status}, 200, 'has only that';
is ask('/own', 'own2.test', '/v10')->{status}, 403, 'and not what begins like it';
is ask('/own', 'own2.test', '/v1%2fx')->{status}, 403, 'nor an encoded slash';
like ask('/own', 'own2.test', $_)->{status}, qr/^40[03]$/, "nor a way out of it: $_"
    for '/v1/../x', '/v1/%2e%2e/x', '/v1/..%2fx', '/v1/%2e%2e%2fx', '/v1/./../x', '/v1//../../x', '/V1/x', '/v1\\..\\x', '/x?/v1/', '/x/../v2';
is ask('/own', 'own2.test', $_)->{status}, 200, "but other spellings of it: $_" for '/v1', '/v1?x', '/%761/x', '/x/../v1/y', '//v1/x', '/v1/%252e%252e/x';
is ask('/outer/in', 'outer.test')->{status}, 200, 'a gateway is inherited by locations in it';
is ask('/outer/x', 'http.test')->{status}, 403, 'with its targets';
is $t->get('/outer/keys')->header('content-type'), 'application/ohttp-keys', 'GET is for the list of keys';
is ask('/outer/keys', 'outer.test')->{status}, 200, 'and POST for the gateway';
is $g->post('x' x 301, path => '/inherits')->{status}, 413, 'the limit is inherited';
is $g->post('x' x 301, path => '/own')->{status}, 422, 'or replaced';
is $g->post('x' x 401, path => '/own')->{status}, 413, 'by its own';

# padding

sub lengths {
    my ($path, $chunked, @n) = @_;
    return map {
        my $r = $g->request(GET => '/?x=' . 'y' x $_, path => $path, authority => $path eq '/own' ? 'own.test' : 'http.test', chunked => $chunked);
        length join '', @{ $r->{texts} // [] };
    } @n;
}

for my $chunked (0, 1) {
    my $form = $chunked ? 'chunked' : 'whole';
    my @text = lengths('/inherits', $chunked, 0, 1, 30);
    is_deeply [ map $_ % 256, @text ], [ 0, 0, 0 ], "a block, $form: @text";
    is_deeply [ grep $_ != $text[0], @text ], [], "tells nothing of the length, $form";
    @text = lengths('/own', $chunked, 0);
    cmp_ok $text[0], '<', 256, "no padding, $form: @text";
    @text = lengths('/bucket', $chunked, 0, 30, 300, 3000);
    is_deeply [ grep { $_ & $_ - 1 } @text ], [], "powers of two, $form: @text";
    cmp_ok $text[3], '>', $text[0], "which are not all the same, $form";
}

$t->finish;
done_testing;
