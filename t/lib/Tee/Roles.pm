package Tee::Roles;

# Client, relay and gateway in one nginx, and a model behind them.
#
#   my $t = Tee::Roles->new(
#       model => sub { my ($conn, $request) = @_; ... },
#       client => 'location /v1/ { tee_client og; ... }',   # server{} of the client
#       http => '...', gateway => '...',     # more of http{}, of the gateway's server{}
#       relay => sub { my ($conn, $request, $answer) = @_; ... },
#       profile => 'rfc9458', registry => 'contract ...;');
#
# In configurations %%relay%% is the address and path of nginx's relay, and
# %%evil%% the address of another one, without a path: it sends on what it
# gets, and its handler answers with what it likes of what comes back.
#
#   $t->nginx, $t->tee, $t->model, $t->evil
#   $t->chat(path => ..., stream => 1, ...)   an answer of the client

use strict;
use warnings;

use JSON::PP ();

use Tee::Cert;
use Tee::Http;
use Tee::Nginx;
use Tee::Ohttp;
use Tee::Upstream;

my $json = JSON::PP->new->utf8->canonical;

sub new {
    my ($class, %o) = @_;
    my $profile = $o{profile} // 'opengradient';
    my $key = Tee::Ohttp::keygen();
    my $cert = Tee::Cert->new(name => 'one.test');
    my $self = bless { key => $key, cert => $cert, aead => $profile eq 'opengradient' ? 3 : 1 }, $class;
    my $http2 = Tee::Nginx::version() >= 1.025001 ? '; http2 on' : ' http2';
    my $model = $self->{model} = Tee::Upstream->new(name => 'model', cert => undef, handler => $o{model});

    my $t = $self->{nginx} = Tee::Nginx->new(stopped => 1,
        files => { 'gw.key' => Tee::Ohttp::key_pem($key), 'gw.pem' => $cert->{pem}, 'gw_tls.key' => $cert->{key}, %{ $o{files} // {} } },
        ($o{workers} ? (workers => $o{workers}) : ()),
        vars => { model => $model->port, suite => $profile eq 'opengradient' ? 'chacha20-poly1305' : 'aes-128-gcm', %{ $o{vars} // {} } },
        http => <<"CONF");
    tee_registry og { @{[ $o{registry} // 'file tees.json;' ]} allow_private on; }
    tee_gateway_keys gw { key 1 gw.key; suite hkdf-sha256 %%suite%%; }
    upstream tee { tee_peers og id=\$http_x_tee_id; }
    @{[ $o{http} // '' ]}
    server {
        listen 127.0.0.1:%%PORT_http%%;
        listen 127.0.0.1:%%PORT_h2%%$http2;
        @{[ $o{client} // '' ]}
        location /tee/status { tee_status; }
    }
    server {
        listen 127.0.0.1:%%PORT_relay%%;
        access_log off;
        location = /api/v1/chat/ohttp { tee_relay on; tee_relay_max_body 64m; proxy_pass https://tee/v1/ohttp; }
    }
    server {
        listen 127.0.0.1:%%PORT_gw%% ssl;
        access_log off;
        ssl_certificate gw.pem; ssl_certificate_key gw_tls.key;
        location = /v1/ohttp { tee_gateway gw profile=$profile; tee_gateway_max_body 64m; @{[ $profile eq 'rfc9458' ? 'tee_gateway_target https://api.example /;' : '' ]} }
        location / { client_max_body_size 64m; proxy_pass http://127.0.0.1:%%model%%; proxy_http_version 1.1; proxy_buffering off; }
        @{[ $o{gateway} // '' ]}
    }
CONF

    # one that is asked for what it has changed
    if ($o{relay}) {
        my ($port, $handler) = ($t->port('relay'), $o{relay});
        $self->{evil} = Tee::Upstream->new(name => 'evil', cert => undef, handler => sub {
            my ($conn, $request) = @_;
            my @headers = map { /^([^:]+): *(.*)$/ && $1 !~ /^(?:host|connection|content-length)$/i ? ($1, $2) : () } split /\r\n/, $request->{head};
            my $forward = sub { Tee::Http::request($port, POST => '/api/v1/chat/ohttp', \@headers, $_[0] // $request->{body}) };
            return $handler->($conn, $request, $forward);
        });
        $t->{vars}{evil} = '127.0.0.1:' . $self->{evil}->port;
    }

    $t->{vars}{relay} = '127.0.0.1:' . $t->port('relay') . '/api/v1/chat/ohttp';
    $self->{tee} = Tee::Cert::enclave('one', endpoint => 'https://127.0.0.1:' . $t->port('gw'), cert => $cert);
    $t->write('tees.json', $self->registry($self->{tee}, @{ $o{more} // [] }));
    $t->start unless $o{stopped};
    return $self;
}

sub nginx { return $_[0]{nginx} }
sub tee { return $_[0]{tee} }
sub model { return $_[0]{model} }
sub evil { return $_[0]{evil} }

# entries that have the key of the gateway, or their own

sub registry {
    my ($self, @tees) = @_;
    my $list = JSON::PP::decode_json(Tee::Cert::registry(@tees));
    my $pk = unpack 'H*', Tee::Ohttp::public_key($self->{key});

    for my $i (0 .. $#tees) {
        next if $tees[$i]{no_key};
        $list->{tees}[$i]{ohttp} = { key_id => 1, kem_id => 32, kdf_id => 1, aead_id => $self->{aead}, public_key => $tees[$i]{public_key} // $pk };
    }

    return $json->encode($list);
}

# the list of keys that a gateway has

sub keys {
    my ($self, @suites) = @_;
    my $config = Tee::Ohttp::key_config(Tee::Ohttp::public_key($self->{key}), 1, @suites);
    return pack 'n/a', $config;
}

sub chat {
    my ($self, %o) = @_;
    my $body = $o{body} // $json->encode({ model => $o{model} // 'm', messages => $o{messages} // [ { role => 'user', content => 'hi' } ],
        $o{stream} ? (stream => JSON::PP::true) : (), %{ $o{more} // {} } });
    my $path = $o{path} // '/v1/chat/completions';
    return $self->{nginx}->post($path, exists $o{type} ? $o{type} : 'application/json', $body, $o{headers}) unless $o{client};
    $o{client}->send_request(POST => $path, [ 'Content-Type' => 'application/json' ], $body);
    return $o{client}->response;
}

1;
