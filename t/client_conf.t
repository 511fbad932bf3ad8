#!/usr/bin/perl
# The directives of a client: what they take, how they are inherited, and with
# what else in a location nothing would be safe.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my $tee = tee('one');
my $ca = Tee::Cert->new(name => 'ca', ca => 1);
my ($signing) = Tee::Cert::signing_key('one');
my $key = Tee::Ohttp::keygen();
my $config = Tee::Ohttp::key_config(Tee::Ohttp::public_key($key), 1, 1);
my %files = (
    'tees.json' => tees($tee), token => 'x', keys => pack('n/a', $config), 'keys.bad' => pack('n/a', $config) . "\0", 'keys.none' => '',
    'keys.aead' => pack('n/a', Tee::Ohttp::key_config(Tee::Ohttp::public_key($key), 1, 0xffff)), 'keys.point' => pack('n/a', Tee::Ohttp::key_config("\0" x 32, 1, 1)),
    'ca.pem' => $ca->{pem}, 'pub.pem' => scalar `openssl pkey -in $signing -pubout`, 'keys.kem' => pack('n/a', pack('Cnn', 1, 0x7777, 4)), 'keys.large' => "\0" x 70000,
);
my $proxy = 'proxy_pass http://127.0.0.1:1/relay;';

sub error {
    my ($location, $server, $http) = @_;
    $_ //= '' for $server, $http;
    return scalar Tee::Nginx->conf_error(files => \%files, http => <<"CONF");
    tee_registry og { file tees.json; allow_private on; }
    $http
    upstream back { server 127.0.0.1:1; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        $server
        location /v1/ { $location }
    }
CONF
}

my $client = "tee_client og; $proxy";
my $pcr = '0x' . '1' x 64;

# what works

is error($client), '', 'a client';
is error("tee_client og $_; $proxy"), '', "a parameter: $_"
    for 'profile=opengradient', 'id=$http_x', "id=$pcr", "pcr=$pcr", 'pcr=' . 'A' x 64, "profile=opengradient id=\$arg_x pcr=$pcr";
is error("tee_client_target https://a.test; tee_client $_; $proxy"), '', "another profile: $_"
    for 'og profile=rfc9458', 'og profile=rfc9458 chunked', 'keys_file=keys', 'keys_file=keys chunked', 'keys_file=keys profile=rfc9458', "og profile=rfc9458 pcr=$pcr id=\$http_x";
is error("tee_client keys_file=keys profile=opengradient; $proxy"), '', 'keys in the profile of a registry';
is error("tee_client_target $_; tee_client keys_file=keys; $proxy"), '', "a target: $_" for 'https://a.test', 'http://a.test', 'https://a.test:8443', '"https://[::1]:1"', 'https://A_b-c';
is error("$client tee_client_auth $_;"), '', "a credential: $_" for 'token', 'missing', '$http_x', '"$arg_a$arg_b"', 'off', '/etc/hostname';
is error("$client tee_client_errors $_;"), '', "errors: $_" for qw(problem openai);
is error("$client tee_client_max_body 1k; tee_client_buffer 1m;"), '', 'sizes';
is error("$client tee_client_pass_header X-A x-b; tee_client_pass_header C;"), '', 'fields';
is error($client, '', 'tee_client_target https://a.test; tee_client_auth token; tee_client_errors openai; tee_client_max_body 1m; tee_client_buffer 1m; tee_client_pass_header A;'),
    '', 'what may stand further out';
is error($client, 'tee_client_target https://a.test; tee_client_auth token; tee_client_errors openai; tee_client_max_body 1m; tee_client_buffer 1m; tee_client_pass_header A;'),
    '', 'or in a server';
is error("tee_client keys_file=keys; $proxy", 'tee_client_target https://a.test;'), '', 'a target from further out';
is error("tee_client off; $proxy"), '', 'none';
is error("$client location /v1/x/ { tee_client off; root html; }"), '', 'none within';
is error("$client location /v1/x/ { $proxy }"), '', 'inherited';
is error("$client if (\$http_x) { set \$a 1; }"), '', 'if';
is error("$client limit_except POST { deny all; }"), '', 'limit_except';
is error("$client location = /v1/models { tee_client_models a; }"), '', 'models within';
is error("$client location = /v1/health { tee_client_health og; }"), '', 'health within';
is error("tee_client_models a b \"c d\" \xc3\xa9;"), '', 'models';
is error("tee_client_health og pcr=$pcr;"), '', 'health';
is error('tee_client og; proxy_pass http://back/relay;'), '', 'an upstream';
is error('tee_client og; proxy_pass https://back/relay; proxy_ssl_verify off;'), '', 'over TLS';
is error("$client proxy_set_header Connection \"\"; proxy_set_header X-A \"\$server_name\"; proxy_set_header Host relay.test;"), '', 'fields that say nothing of an application';
is error("$client proxy_set_header X-A \"$_\";"), '', "a field with $_" for '$hostname', '$proxy_host:$proxy_port', '${server_name}x', '$pid', '$tee_client_id $tee_client_endpoint$tee_client_pcr_hash';
is error("$client proxy_set_header X-A \"\$$_\";", '', 'map $http_x $mapped { default a; } geo $geod { default 1; }'), '', "or what the configuration makes: $_" for 'mapped', 'geod';
is error("set \$x a; $client proxy_set_header X-A \$x;"), '', 'or sets';
is error("$client proxy_ssl_name a.test; proxy_bind 127.0.0.1; proxy_ssl_certificate ca.pem; proxy_ssl_certificate_key token;"), '', 'names and addresses that do not vary';
is error("tee_client_target https://a.test; tee_client keys_file=keys; tee_verify key=pub.pem; $proxy"), '', 'a signature with a key that is configured';
is error("$client client_max_body_size 1k; proxy_buffering on; proxy_http_version 1.0;"), '', 'what means nothing here';

# what does not

like error('tee_client;'), qr/invalid number of arguments/, 'a client of nothing';
like error("tee_client none; $proxy"), qr/no "tee_registry none" block before/, 'of a registry that there is not';
like error("tee_client late; $proxy", 'location /x { }', ''), qr/no "tee_registry late" block before/, 'registries have to come before';
like error("$client tee_client og;"), qr/duplicate/, 'twice';
like error("tee_client off; tee_client og; $proxy"), qr/duplicate/, 'off and on';
like error($client, 'tee_client og;'), qr/not allowed here/, 'in a server';
like error("tee_client og $_; $proxy"), qr/invalid parameter "\Q$_\E"/, "a bad parameter: $_"
    for 'x', 'profile=', 'profile=rfc', 'PROFILE=rfc9458', 'id=', 'off', 'chunked=on';
like error("tee_client og pcr=$_; $proxy"), qr/needs a PCR hash/, "a bad PCR: $_" for '', '0x', '1' x 63, '1' x 65, 'g' x 64;
like error("tee_client og pcr=$pcr pcr=$pcr; $proxy"), qr/invalid parameter/, 'two PCRs';
like error("tee_client og profile=rfc9458 profile=rfc9458; tee_client_target https://a; $proxy"), qr/invalid parameter/, 'two profiles';
like error("tee_client og id=a id=b; $proxy"), qr/invalid parameter/, 'two ids';
like error("tee_client keys_file=keys id=a; $proxy"), qr/with a registry only/, 'an id with keys';
like error("tee_client keys_file=keys pcr=$pcr; $proxy"), qr/with a registry only/, 'a PCR with keys';
like error("tee_client og chunked; $proxy"), qr/"chunked" with "profile=rfc9458" only/, 'chunks in the other profile';
like error("tee_client og eager; $proxy"), qr/"eager" with "keys=" only/, 'a registry is asked as it is';
like error("tee_client keys_file=keys eager eager; $proxy"), qr/invalid parameter "eager"/, 'twice';
like error("tee_client og profile=rfc9458; $proxy"), qr/needs "tee_client_target"/, 'no target';
like error("tee_client keys_file=keys; $proxy"), qr/needs "tee_client_target"/, 'no target for keys';
like error("tee_client keys_file=$_; $proxy"), qr/no usable key in "DIR\/$_"/, "a list of keys: $_" for qw(keys.bad keys.none keys.aead keys.point keys.kem);
like error("tee_client keys_file=keys.large; $proxy"), qr/too large/, 'a large one';
like error("tee_client keys_file=missing; $proxy"), qr/No such file/, 'none';
like error("tee_client keys_file=; $proxy"), qr/needs a file/, 'without a name';
like error("tee_client_target $_; $client"), qr/needs "https:\/\/host/, "a bad target: $_"
    for 'a.test', 'ftp://a.test', 'https://', 'https://a.test/', 'https://a.test/v1', 'https://a@b.test', 'HTTPS://a.test', '"https://a b"', 'https://a.test?x';
like error("$client $_ $_"), qr/duplicate/, "twice: $_" for 'tee_client_target https://a.test;', 'tee_client_auth token;', 'tee_client_errors openai;', 'tee_client_max_body 1k;',
    'tee_client_buffer 1k;';
like error("$client tee_client_auth '';"), qr/needs a file or a variable/, 'a credential without a name';
like error("$client tee_client_auth \$nothing_like_it;"), qr/unknown "nothing_like_it" variable/, 'a variable that there is not';
like error("$client tee_client_errors html;"), qr/invalid value "html"/, 'errors of another form';
like error("$client tee_client_pass_header $_;"), qr/cannot be passed/, "a field: $_" for 'Host', 'content-length', 'Connection', 'Transfer-Encoding', 'TE', 'Upgrade', 'Expect', 'Date', '"a b"', '"a:"', '""';

# what would leave in clear

like error('tee_client og;'), qr/location "\/v1\/": needs "proxy_pass"/, 'no proxy';
like error("$client location /v1/x/ { root html; }"), qr/location "\/v1\/x\/": needs "proxy_pass"/, 'none in a location within';
like error("set \$x a; tee_client og; proxy_pass http://127.0.0.1:1/\$x;"), qr/without variables/, 'variables in its address';
like error("$client proxy_set_header X-A \"$_\";"), qr/would tell the relay/, "a field with $_"
    for '$http_cookie', 'a${http_cookie}b', '$cookie_a', '$arg_a', '$args', '$query_string', '$request_uri', '$request', '$request_body', '$uri', '$host', '$remote_user', '$content_type',
        '$proxy_add_x_forwarded_for', '$remote_addr', '$binary_remote_addr', '$REMOTE_ADDR', '${Host}', '$1', 'a${1}', '$fastcgi_script_name', '$fastcgi_path_info', '$ssl_server_name', '$ssl_client_s_dn',
        '$slice_range', '$realpath_root', '$document_root', '$proxy_protocol_addr', '$scheme', '$request_id', '$tee_request_hash', '$sent_http_x', '$upstream_http_x', '$server_name$uri', '$made$args';
like error("$client proxy_set_header X-A \$who;", $_->[0], $_->[1]), qr/would tell the relay/, "a name in $_->[2]"
    for [ 'rewrite ^/(?<who>.*)$ /$who;', '', 'rewrite' ], [ 'server_name ~^(?<who>.+)\.test$;', '', 'server_name' ], [ 'if ($http_x ~ "(?<who>.)") { return 404; }', '', 'if' ],
    [ '', 'map $http_x $mapped { ~(?<who>.) 1; }', 'map' ];
like error('', "location ~ ^/v2/(?<who>.*) { $client proxy_set_header X-A \$who; }" =~ s{/relay}{}r), qr/would tell the relay/, 'a name in a location';
like error("$client proxy_ssl_name $_;"), qr/"proxy_ssl_name" and "proxy_ssl_certificate" must not have variables/, "a name of a certificate: $_" for '$host', 'a.$server_name';
like error("$client proxy_ssl_certificate keys/\$ssl_server_name.pem; proxy_ssl_certificate_key token;"), qr/must not have variables/, 'a certificate for each';
like error("$client proxy_bind \$remote_addr transparent;"), qr/"proxy_bind" must not have variables/, 'an address of who asks';
like error("tee_client_target https://a.test; tee_client keys_file=keys; tee_verify on; $proxy"), qr/"tee_verify on" needs a TEE of a registry/, 'a signature of nobody knows whom';
like error("$client proxy_set_body x;"), qr/would change what is sealed/, 'another body';
like error("$client proxy_method GET;"), qr/would change what is sealed/, 'another method';
like error("$client proxy_pass_request_headers off;"), qr/must be on/, 'no fields';
like error("$client proxy_pass_request_body off;"), qr/must be on/, 'no body';
like error("$client proxy_next_upstream error non_idempotent;"), qr/could send a sealed request twice/, 'more than one try';
like error("$client proxy_intercept_errors on;"), qr/would believe the errors of a relay/, 'errors of a relay';
like error("$client $_"), qr/nothing but "proxy_pass" may answer/, "another handler: $_"
    for 'fastcgi_pass 127.0.0.1:1; fastcgi_param A $request_uri;', 'fastcgi_pass $http_x;', 'uwsgi_pass 127.0.0.1:1;', 'scgi_pass 127.0.0.1:1;', 'grpc_pass grpc://127.0.0.1:1;', 'empty_gif;', 'stub_status;',
    'if ($http_x) { fastcgi_pass 127.0.0.1:1; }';
is error("fastcgi_pass 127.0.0.1:1; $client"), '', 'the last one of a location answers';
like error("$client proxy_store on;"), qr/must not be stored/, 'a copy of answers';
like error("$client proxy_cache c;", '', 'proxy_cache_path cache keys_zone=c:1m;'), qr/must not be stored/, 'a cache';

# what works, but says more than it has to

sub warned {
    my ($location, $server, $http) = @_;
    $_ //= '' for $server, $http;
    my ($error, $text) = Tee::Nginx->conf_error(files => \%files, http => <<"CONF");
    tee_registry og { file tees.json; allow_private on; }
    $http
    server {
        listen 127.0.0.1:%%PORT_http%%;
        $server
        location /v1/ { tee_client og; $location }
    }
CONF
    return "$error\n" if $error;
    my @said = map { s/: whoever.*|, and whoever.*|: use .*//r } $text =~ /^nginx: \[warn\] (tee_client .*?)(?: in \/\S*:\d+)?$/mg;
    return join '; ', @said;
}

my $plain = 'tee_client in location "/v1/": relay "192.0.2.1" is asked over http://';
my $unverified = 'tee_client in location "/v1/": the certificate of relay "192.0.2.1" is not verified';
my $verified = 'proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.pem;';

is warned("proxy_pass $_/relay;"), '', "a relay on this machine: $_" for 'http://127.0.0.1:1', 'http://127.9.9.9', 'http://[::1]:1', 'http://localhost:1', 'https://127.0.0.1', 'http://unix:/tmp/x:';
is warned('proxy_pass http://u/relay;', '', 'upstream u { server 127.0.0.1:1; server [::1]:1; server unix:/tmp/x backup; }'), '', 'or more than one';
is warned("proxy_pass http://192.0.2.1$_/relay;"), $plain, "a relay without TLS$_" for '', ':80', ':8080';
is warned('proxy_pass http://192.0.2.1/relay;', 'location / { proxy_pass https://192.0.2.1/; }'), $plain, 'beside one with TLS';
is warned('proxy_pass http://[2001:db8::1]/relay;'), $plain =~ s/192\.0\.2\.1/[2001:db8::1]/r, 'over IPv6';
is warned('proxy_pass http://u/relay;', '', "upstream u { server $_; }"), $plain =~ s/"192\.0\.2\.1"/"u"/r, "behind an upstream: $_" for '192.0.2.1', '127.0.0.1:1; server 192.0.2.1', '192.0.2.1 backup; server 127.0.0.1:1';
is warned("proxy_pass http://192.0.2.1/; $verified"), $plain, 'with a certificate that nobody shows';
is warned('proxy_pass http://192.0.2.1/; if ($http_x) { set $a 1; } limit_except POST { deny all; }'), $plain, 'once for a location';
is warned('proxy_pass http://192.0.2.1/; location /v1/x/ { proxy_pass http://192.0.2.1/; }'), join('; ', $plain, $plain =~ s{/v1/}{/v1/x/}r), 'and for one within';
is warned('proxy_pass http://127.0.0.1:1/;', 'location /x/ { proxy_pass http://192.0.2.1/; }'), '', 'not for what is no client';
is warned("proxy_pass https://192.0.2.1$_/relay;"), $unverified, "a relay that nobody has looked at$_" for '', ':8443';
is warned('proxy_pass https://192.0.2.1/relay; proxy_ssl_verify off;'), $unverified, 'on purpose';
is warned("proxy_pass https://192.0.2.1/relay; $verified"), '', 'one that is verified';
is warned('proxy_pass https://192.0.2.1/relay;', $verified), '', 'as all in a server';
is warned('proxy_pass https://u/v1/ohttp;', '', 'upstream u { tee_peers og; }'), '', 'an enclave, which is pinned';
is warned('proxy_pass https://127.0.0.1:1/relay; proxy_ssl_verify off;'), '', 'one on this machine need not be';

# what is told of itself

like error('tee_client_models;'), qr/invalid number of arguments/, 'no models';
like error("tee_client_models \"\xff\";"), qr/needs names of models/, 'a model that is not UTF-8';
like error('tee_client_models "";'), qr/needs names of models/, 'a model without a name';
like error('tee_client_models a; tee_client_models b;'), qr/duplicate/, 'models twice';
like error("tee_client_models a; $proxy"), qr/./, 'models of a proxy';
like error('tee_client_health;'), qr/invalid number of arguments/, 'health of nothing';
like error('tee_client_health none;'), qr/no "tee_registry none" block/, 'of another registry';
like error('tee_client_health og x;'), qr/invalid parameter "x"/, 'with more';
like error('tee_client_health og; tee_client_health og;'), qr/duplicate/, 'twice';
like error('tee_client_health og; tee_client_models a;'), qr/conflicts with another handler/, 'with models';

done_testing;
