package Tee::Signed;

# What an OpenGradient enclave signs, and how a client checks it:
#
#     keccak256(keccak256(request) || keccak256(output) || uint256(time))
#
# with RSA-PSS.  The request is its canonical JSON, the output a text.  Objects
# are those of Tee::Json.

use strict;
use warnings;

use Crypt::Digest::Keccak256 qw(keccak256 keccak256_hex);
use Crypt::PK::RSA;
use MIME::Base64 qw(decode_base64 encode_base64);

use Tee::Json qw(as_float dump_json num);

use Exporter qw(import);

our @EXPORT_OK = qw(tee_id canonical_chat chat_output sign verify
    ohttp_config_hash sign_hash);


# The identity of an enclave: its signing key's SubjectPublicKeyInfo

sub tee_id { '0x' . keccak256_hex($_[0]->export_key_der('public_x509')) }


# Python's idea of "if value:"

sub _truthy {
    my ($v) = @_;

    my $ref = ref $v;

    return !defined $v ? 0
        : $ref eq '' ? length $v
        : $ref eq 'ARRAY' ? @$v
        : $ref eq 'HASH' ? %$v
        : $ref eq 'Tee::Json::Bool' ? $v->{true}
        : $v->{text} !~ /\A-?[0.]+(?:[eE].*)?\z/;
}

sub _text {
    my ($v, $what) = @_;

    die "$what must be a text\n" if !defined $v || ref $v;
    return $v;
}

sub canonical_chat {
    my ($body) = @_;

    my $messages = $body->{messages};

    die "'messages' must be a list\n" if ref $messages ne 'ARRAY' || !@$messages;

    my %c = (
        model => _text($body->{model}, "'model'"),
        messages => [ map { _message($_) } @$messages ],
        temperature => as_float($body->{temperature} // num(0)),
    );

    $c{max_tokens} = $body->{max_tokens} if defined $body->{max_tokens};

    for my $name (qw(stop tools response_format aspect_ratio)) {
        $c{$name} = $body->{$name} if _truthy($body->{$name});
    }

    $c{web_search} = Tee::Json::true() if _truthy($body->{web_search});
    return \%c;
}

sub _message {
    my ($m) = @_;

    die "a message must be an object\n" if ref $m ne 'HASH';

    my $role = $m->{role} // '';
    my $content = $m->{content};

    if ($role eq 'system') {
        return { role => $role, content => $content };
    }

    if ($role eq 'user') {
        return { role => $role, content => _user_content($content) };
    }

    if ($role eq 'assistant') {
        my $calls = $m->{tool_calls};

        return {
            role => $role,
            content => _truthy($content) ? $content : '',
            _truthy($calls) ? (tool_calls => [ map { _call($_) } @$calls ]) : (),
        };
    }

    if ($role eq 'tool' || $role eq 'function') {
        die "content must not be null\n" if !defined $content;

        my $name = $role eq 'tool' ? 'tool_call_id' : 'name';

        return { role => $role, content => $content, $name => $m->{$name} };
    }

    die "unknown role\n";
}

# Bytes, addresses and details of attachments are not signed.

sub _user_content {
    my ($content) = @_;

    return _text($content, 'content') if ref $content ne 'ARRAY';

    return [ map {
        my $p = ref $_ eq 'HASH' ? $_ : { type => 'text', text => $_ };
        my $file = ref $p->{file} eq 'HASH' ? $p->{file}{filename} : undef;
        my $name = _truthy($file) ? $file : $p->{filename};

        ($p->{type} // '') eq 'text'
            ? { type => 'text', text => _truthy($p->{text}) ? $p->{text} : '' }
            : { type => $p->{type}, _truthy($name) ? (filename => $name) : () };
    } @$content ];
}

sub _call {
    my ($call) = @_;

    my $f = $call->{function} // {};

    return { id => $call->{id}, type => $call->{type},
        function => { name => $f->{name}, arguments => $f->{arguments} } };
}

# The signed text of an answer, whole or put together from a stream

sub chat_output {
    my ($body) = @_;

    my $choice = ($body->{choices} // [])->[0] // {};
    my $m = $choice->{message} // {};
    my $calls = $m->{tool_calls};

    return dump_json($calls)
        if ($choice->{finish_reason} // '') eq 'tool_calls' && _truthy($calls);
    return $m->{content} // '';
}


sub _hashes {
    my ($request, $output, $time) = @_;

    my $text = $output;

    utf8::encode($text);

    my @h = (keccak256(dump_json($request)), keccak256($text));
    return (@h, keccak256(join '', @h, pack 'x24 Q>', $time));
}

sub sign_hash { encode_base64($_[0]->sign_message($_[1], 'SHA256', 'pss', 32), '') }

# The members that an enclave adds to its answer

sub sign {
    my ($key, $request, $output, $time) = @_;

    my ($r, $o, $hash) = _hashes($request, $output, $time);

    return (
        tee_id => tee_id($key),
        tee_request_hash => unpack('H*', $r),
        tee_output_hash => unpack('H*', $o),
        tee_timestamp => num($time),
        tee_signature => sign_hash($key, $hash),
    );
}

# undef, or why an answer must not be believed

sub verify {
    my ($key, $request, $output, $body) = @_;

    for my $name (qw(id request_hash output_hash timestamp signature)) {
        return "no tee_$name" if !defined $body->{"tee_$name"};
    }

    my $time = $body->{tee_timestamp};

    $time = $time->{text} if ref $time eq 'Tee::Json::Number';

    return 'the tee_timestamp is not a number' if $time !~ /\A[0-9]{1,18}\z/;

    my ($r, $o, $hash) = _hashes($request, $output, $time);
    my $sig = decode_base64($body->{tee_signature});

    return 'the tee_id is of another enclave'
        if lc $body->{tee_id} ne tee_id($key);
    return 'another request was signed'
        if $body->{tee_request_hash} ne unpack 'H*', $r;
    return 'another output was signed'
        if $body->{tee_output_hash} ne unpack 'H*', $o;
    return 'the signature is wrong'
        if !eval { $key->verify_message($sig, $hash, 'SHA256', 'pss', 32) };
    return undef;
}


# What an enclave's OHTTP key is signed as

sub ohttp_config_hash {
    my ($tee_id, $id, $aead, $pk, $config) = @_;

    my $domain = keccak256('OPENGRADIENT_TEE_OHTTP_CONFIG_V1');
    my @words = map { pack 'x30 n', $_ } $id, 0x20, 1, $aead;

    return keccak256(join '', $domain, pack('H*', $tee_id =~ s/\A0x//r), @words,
        keccak256($pk), keccak256($config));
}


1;
