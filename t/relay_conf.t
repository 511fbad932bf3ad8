#!/usr/bin/perl
# A relay that would tell who asks, or send twice, does not start.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my $one = tee('one');
my %files = ('tees.json' => tees($one));
my $top = 'tee_registry og { file tees.json; allow_private on; } upstream tee { tee_peers og; }';

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

my $relay = 'tee_relay on; proxy_pass https://tee/v1/ohttp;';

# what works

is error($relay), '', 'a relay';
is error("$relay tee_relay_max_body 1m; tee_relay_pass_header PAYMENT-SIGNATURE X-PAYMENT;"), '', 'with its directives';
is error("$relay proxy_set_header Connection '';"), '', 'a field that says nothing';
is error("$relay proxy_set_header Authorization 'Bearer secret';"), '', 'a credential of the relay';
is error("$relay proxy_set_header X-PAYMENT \$http_x_payment; tee_relay_pass_header X-PAYMENT;"), '', 'a field that is to pass';
is error("$relay proxy_set_header Authorization \$$_;"), '', "what says nothing of the client: $_" for qw(hostname proxy_host server_name tee_id tee_endpoint);
is error("set \$made x; $relay proxy_set_header Authorization \$made;"), '', 'what the configuration makes';
is error('tee_relay off; proxy_pass https://tee; proxy_set_header X-Real-IP $remote_addr;'), '',
    'a location that is no relay may say anything';

# what tells who asks

for my $field ('X-Real-IP $remote_addr', 'X-Forwarded-For $proxy_add_x_forwarded_for', 'X-Forwarded-For $remote_addr',
    'Forwarded for=$remote_addr', 'Forwarded "for=1"', 'X-Forwarded-Proto $scheme', 'Via "1.1 relay"',
    'X-Request-ID $request_id', 'Traceparent $http_traceparent', 'Cookie $http_cookie', 'User-Agent nginx',
    'Authorization $http_authorization', 'Authorization "Bearer ${remote_addr}"', 'Authorization $remote_user',
    'Host $host', 'Host $http_host', 'Accept $http_accept', 'X-Client-Cert $ssl_client_cert',
    'Authorization $ssl_client_fingerprint', 'Host $arg_x', 'Host $cookie_x', 'Accept $binary_remote_addr',
    'Authorization $1', 'Authorization "Bearer ${1}"', 'Accept $fastcgi_script_name', 'Accept $document_root', 'Accept $slice_range', 'Accept $scheme',
    'Accept $server_addr', 'Accept $msec', 'Accept $content_type', 'Accept $sent_http_x', 'Accept $upstream_http_x', 'Authorization $server_name$args',
    'Accept $connection', 'Accept $request_uri', 'Accept $realip_remote_addr', 'Accept $proxy_protocol_addr')
{
    like error("$relay proxy_set_header $field;"), qr/tee_relay in location "\/ohttp".*proxy_set_header/,
        "refused: proxy_set_header $field";
}

like error($relay, 'proxy_set_header X-Real-IP $remote_addr;'), qr/tee_relay in location/, 'also when it is inherited from the server';
like error($relay, '', 'proxy_set_header X-Real-IP $remote_addr;'), qr/tee_relay in location/, 'or from http';
is error("$relay proxy_set_header Connection '';", 'proxy_set_header X-Real-IP $remote_addr;'), '',
    'but not when the location has its own';

for my $field (qw(Cookie User-Agent Forwarded X-Forwarded-For X-Real-IP Via Host Authorization)) {
    like error("$relay tee_relay_pass_header $field;"), qr/who asks/, "refused: tee_relay_pass_header $field";
}

# other ways to tell

my %ways = (
    'the client address as our own' => 'proxy_bind $remote_addr transparent;',
    'the body' => 'proxy_set_body $remote_addr;',
    'the method' => 'proxy_method $arg_method;',
    'another body' => 'proxy_set_body x;',
    'a name of TLS' => 'proxy_ssl_name $http_host;',
    'a certificate for each' => 'proxy_ssl_certificate $ssl_server_name.pem; proxy_ssl_certificate_key $ssl_server_name.key;',
    'a part of the URI' => 'if ($request_uri ~ "(?<who>.)") { return 404; } proxy_set_header Authorization $who;',
);

for my $way (sort keys %ways) {
    like error("$relay $ways{$way}"), qr/tee_relay in location/, "refused: $way ($ways{$way})";
}

like error('tee_relay on; proxy_pass https://tee/$remote_addr;'), qr/tee_relay in location/, 'refused: the address in the URI';
like error('tee_relay on; proxy_pass https://tee/v1?$args;'), qr/tee_relay in location/, 'refused: the query in the URI';

# what sends twice, stores, or changes content

like error("$relay gzip on;"), qr/tee_relay in location.*gzip/, 'refused: gzip on';
like error($relay, 'gzip on;'), qr/tee_relay in location.*gzip/, 'also when it is inherited';
like error("$relay proxy_next_upstream error non_idempotent;"), qr/tee_relay in location.*non_idempotent/,
    'refused: proxy_next_upstream non_idempotent';
like error("$relay proxy_cache z;", '', 'proxy_cache_path c keys_zone=z:64k;'), qr/tee_relay in location.*stored/, 'refused: proxy_cache';
like error("$relay proxy_store on;"), qr/tee_relay in location.*stored/, 'refused: proxy_store';
like error("$relay proxy_pass_request_headers off;"), qr/tee_relay in location/, 'refused: proxy_pass_request_headers off';
like error("$relay proxy_pass_request_body off;"), qr/tee_relay in location/, 'refused: proxy_pass_request_body off';

# bad values

like error("$relay tee_relay on;"), qr/duplicate/, 'a duplicate is refused: tee_relay';
like error('tee_relay maybe;'), qr/tee_relay/, 'a bad value of tee_relay';
like error("$relay tee_relay_max_body x;"), qr/tee_relay_max_body/, 'a bad value of tee_relay_max_body';
like error("$relay tee_relay_max_body 1; tee_relay_max_body 2;"), qr/duplicate/, 'a duplicate is refused: tee_relay_max_body';
like error("$relay tee_relay_pass_header;"), qr/invalid number of arguments/, 'tee_relay_pass_header without a field';
like error("$relay tee_relay_pass_header $_;"), qr/names of fields|who asks/, "a bad field: $_" for '"a b"', 'a:', '""';
like error($relay, 'tee_relay on;'), qr/not allowed here/, 'tee_relay in a server';

# merging

my $t = Tee::Nginx->new(files => \%files, http => <<"CONF");
    $top
    tee_relay_max_body 10;
    tee_relay_pass_header X-Outer;
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location = /inherits { $relay }
        location = /own { $relay tee_relay_max_body 20; tee_relay_pass_header X-Own; }
        location = /unlimited { $relay tee_relay_max_body 0; }
        location /nested { tee_relay on; location = /nested/in { proxy_pass https://tee/v1/ohttp; } }
    }
CONF
my @both = ('X-Outer' => 1, 'X-Own' => 1);

sub relay { my ($path, $n) = @_; return $t->post($path, 'message/ohttp-req', 'x' x $n, \@both)->{status} }

is relay('/inherits', 10), 200, 'a limit is inherited';
is relay('/inherits', 11), 413, 'and holds';
like +($one->{upstream}->requests)[-1]{head}, qr/^x-outer: 1/mi, 'so is a field to pass';
is relay('/own', 20), 200, 'a location may have its own';
is relay('/own', 21), 413, 'and that holds';
my $head = ($one->{upstream}->requests)[-1]{head};
like $head, qr/^x-own: 1/mi, 'also of fields';
unlike $head, qr/^x-outer/mi, 'in place of the inherited ones';
is relay('/unlimited', 3 << 20), 200, '0 is no limit';
is $t->get('/nested/in')->{status}, 405, 'a location inside of a relay is one';

$t->finish;
done_testing;
