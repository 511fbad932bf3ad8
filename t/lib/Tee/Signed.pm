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

use Tee::Json qw(as_float dump_json num parse);

use Exporter qw(import);

our @EXPORT_OK = qw(tee_id canonical canonical_chat answer_output chat_output
    read_stream sign attach verify check ohttp_config_hash sign_hash);

# Optional members that are signed, by default

my @NEWEST = qw(temperature max_tokens stop tools response_format web_search
    aspect_ratio);


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

# What of a request is signed: an object.  The endpoints are chat, completions
# and web_search.

sub canonical {
    my ($endpoint, $body, @fields) = @_;

    return canonical_chat($body, @fields) if $endpoint eq 'chat';

    if ($endpoint eq 'completions') {
        return {
            model => _text($body->{model}, "'model'"),
            prompt => _text($body->{prompt}, "'prompt'"),
            _optional($body, { temperature => num('1.0'),
                max_tokens => num(16) }, @fields),
        };
    }

    my %all = %$body;

    delete @all{qw(endpoint user metadata x-request-id request_id)};
    return \%all;
}

sub _optional {
    my ($body, $absent, @fields) = @_;

    my %c;

    for my $name (@fields ? @fields : @NEWEST) {
        my $v = exists $body->{$name} ? $body->{$name} : $absent->{$name};

        if ($name eq 'temperature') {
            $c{$name} = as_float($v // num(0));

        } elsif ($name eq 'max_tokens') {
            $c{$name} = $v if defined $v;

        } elsif (_truthy($v)) {
            $c{$name} = $name eq 'web_search' ? Tee::Json::true() : $v;
        }
    }

    return %c;
}

sub canonical_chat {
    my ($body, @fields) = @_;

    my $messages = $body->{messages};

    die "'messages' must be a list\n" if ref $messages ne 'ARRAY' || !@$messages;

    return {
        model => _text($body->{model}, "'model'"),
        messages => [ map { _message($_) } @$messages ],
        _optional($body, {}, @fields),
    };
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

sub answer_output {
    my ($endpoint, $body) = @_;

    return $body->{content} // '' if $endpoint eq 'web_search';
    return $body->{choices}[0]{text} // '' if $endpoint eq 'completions';
    return chat_output($body);
}

sub chat_output {
    my ($body) = @_;

    my $choice = ($body->{choices} // [])->[0] // {};
    my $m = $choice->{message} // {};
    my $calls = $m->{tool_calls};

    return dump_json($calls)
        if ($choice->{finish_reason} // '') eq 'tool_calls' && _truthy($calls);
    return ref $m->{content} ? join '', map { $_->{text} } @{ $m->{content} }
        : $m->{content} // '';
}

# Server-sent events: {events}, {text}: what would be signed, {last}: the event
# with the signature, {done}, {error}; {wrong} if it is none of that.

sub read_stream {
    my ($bytes) = @_;

    my %r = (events => [], text => '', done => 0);
    my (%calls, @data);

    $bytes =~ s/\r\n?/\n/g;

    my $whole = $bytes =~ /\n\n\z/;

    for my $line (split(/\n/, $bytes), '') {
        if ($line =~ /\Adata:[ ]?(.*)/s) {
            push @data, $1;
            next;
        }

        next if $line ne '' || !@data;

        my $data = join "\n", splice @data;

        if ($data eq '[DONE]') {
            $r{done}++;
            next;
        }

        my $event = eval { parse($data) };

        return { %r, wrong => "not an event: $data" } if ref $event ne 'HASH';

        push @{ $r{events} }, $event;
        $r{error} = $event->{error} if defined $event->{error};

        my $choice = ($event->{choices} // [])->[0] // {};

        $r{text} .= $choice->{delta}{content} // '';
        _fragment(\%calls, $_) for @{ $choice->{delta}{tool_calls} // [] };
        $r{finish} = $choice->{finish_reason} if $choice->{finish_reason};
        $r{more} = $r{last} && (@{ $event->{choices} // [] } || $r{done}) ? 1 : 0;
        $r{last} = $event if exists $event->{tee_signature};
    }

    $r{wrong} = 'the last event is cut' if !$whole;
    $r{text} = dump_json([ map { $calls{$_} } sort { $a <=> $b } keys %calls ])
        if %calls && ($r{finish} // '') eq 'tool_calls';

    return \%r;
}

sub _fragment {
    my ($calls, $part) = @_;

    my $call = $calls->{ $part->{index} ? $part->{index}{text} : 0 } //=
        { id => undef, type => 'function',
            function => { name => '', arguments => '' } };

    $call->{id} //= $part->{id};
    $call->{function}{name} ||= $part->{function}{name} // '';
    $call->{function}{arguments} .= $part->{function}{arguments} // '';
    return;
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

# An object with the five members, as the text of an answer or an event.  The
# request is its bytes; "text" is what is signed in place of what the object
# says, "time" is not now, "fields" are the optional members.

sub attach {
    my ($key, $endpoint, $request, $answer, %o) = @_;

    my $canonical = canonical($endpoint, parse($request), @{ $o{fields} // [] });
    my %members = sign($key, $canonical,
        $o{text} // answer_output($endpoint, $answer), $o{time} // time);

    return dump_json({ %$answer, %members, %{ $o{change} // {} } });
}

# undef, or why an answer must not be believed; in the bytes that came.  The
# members have the spelling of the gateway, stand once, and are of now.

sub check {
    my ($key, $endpoint, $request, $bytes, %o) = @_;

    my $canonical = eval { canonical($endpoint, parse($request),
        @{ $o{fields} // [] }) } // return "the request: $@";
    my ($answer, $text, $signed) = ($bytes);

    if ($o{stream}) {
        my $r = read_stream($bytes);

        return $r->{wrong} if $r->{wrong};
        return 'an error in the stream' if defined $r->{error};
        return 'no event is signed' if !$r->{last};
        return 'more than one event is signed'
            if 1 < grep { exists $_->{tee_signature} } @{ $r->{events} };
        return 'it goes on behind the signature' if $r->{more};

        ($signed) = $bytes =~ s/\r\n?/\n/gr
            =~ /^data: ?(\{.*"tee_signature".*\})$/m;
        $answer = $signed;
        $text = $r->{text};
    }

    my $body = eval { parse($answer) };

    return 'not an object' if ref $body ne 'HASH';

    $text //= answer_output($endpoint, $body);

    my $why = spelling($answer) // verify($key, $canonical, $text, $body);

    return $why if defined $why;

    my $age = ($o{now} // time) - $body->{tee_timestamp}{text};

    return "the timestamp is $age seconds old" if abs($age) > 60;
    return undef;
}

# The end of an object with the five members

sub spelling {
    my ($text) = @_;

    my %form = (
        tee_signature => '"[A-Za-z0-9+/]+={0,2}"',
        tee_timestamp => '[1-9][0-9]{9}',
        tee_request_hash => '"[0-9a-f]{64}"',
        tee_output_hash => '"[0-9a-f]{64}"',
        tee_id => '"0x[0-9a-f]{64}"',
    );
    my $one = join '|', map { qq("$_": $form{$_}) } sort keys %form;
    my ($end) = $text =~ /((?:\A\{|, )(?:$one)(?:, (?:$one)){4}\})\s*\z/;

    return 'the members are not spelled as the gateway does' if !defined $end;

    # names at the top
    my ($depth, $token, %n) = (0, '');

    while ($text =~ /\G\s*("(?:[^"\\]++|\\.)*+"|[{}\[\]:,]|[^\s"{}\[\]:,]+)/gc) {
        $n{ parse($token) }++ if $1 eq ':' && $depth == 1;
        $token = $1;
        $depth += $token =~ /\A[{\[]/ ? 1 : $token =~ /\A[}\]]/ ? -1 : 0;
    }

    for my $name (grep { /\Atee_/ } keys %n) {
        return "$name is there $n{$name} times" if $n{$name} != 1;
        return "$name is none of them" if !$form{$name};
    }

    return undef;
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
