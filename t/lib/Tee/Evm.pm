package Tee::Evm;

# A real EVM node with the stand-in registry contract, and proxies in front of
# it that misbehave on command.  The commands are those of t/evm/*.mjs.
#
#   my $evm = Tee::Evm->new(tees => [ $tee, ... ], layout => 'v2');
#   $evm->rpc; $evm->address; $evm->chain_id;
#   $evm->do('disable one');
#   my $fault = $evm->fault(cert => $cert);
#   $fault->url; $fault->do('status 503');

use strict;
use warnings;

use IPC::Open2;
use JSON::PP;

use Tee::Cert;
use Tee::Util qw(root scratch spew);

sub _spawn {
    my ($class, $script, @arguments) = @_;
    my $pid = open2(my $out, my $in, 'node', root() . "/t/evm/$script", @arguments);
    my $self = bless { pid => $pid, in => $in, out => $out, owner => $$, script => $script }, $class;
    my $ready = readline $out;
    die "$script did not start\n" unless defined $ready;
    return ($self, decode_json($ready));
}

sub new {
    my ($class, %o) = @_;
    my $dir = scratch();
    spew("$dir/tees.json", encode_json({ teeType => 0, tees => [ map Tee::Cert::contract_entry($_), @{ $o{tees} // [] } ] }));
    my ($self, $ready) = _spawn($class, 'registry.mjs', '--tees', "$dir/tees.json",
        map { defined $o{$_} ? ("--$_", $o{$_}) : () } 'layout', 'chain-id', 'block-time', 'port', 'rpc');
    @{$self}{ keys %$ready } = values %$ready;
    return $self;
}

sub rpc { return $_[0]{rpc} }
sub address { return $_[0]{address} }
sub chain_id { return $_[0]{chainId} }

# the lines of a tee_registry block that name this contract

sub conf {
    my ($self, @urls) = @_;
    return join ' ', "contract $self->{address}; chain_id $self->{chainId};", map "rpc $_;", @urls ? @urls : $self->{rpc};
}

sub do {
    my ($self, $command) = @_;
    local $SIG{PIPE} = 'IGNORE';
    syswrite $self->{in}, "$command\n" or die "$self->{script} is gone\n";
    my $answer = readline $self->{out};
    die "$self->{script} is gone\n" unless defined $answer;
    $answer = decode_json($answer);
    die "$command: $answer->{error}\n" if $answer->{error};
    return $answer;
}

sub add {
    my ($self, $tee) = @_;
    return $self->do('add ' . encode_json(Tee::Cert::contract_entry($tee)));
}

sub fault {
    my ($self, %o) = @_;
    my ($fault, $ready) = _spawn('Tee::Evm', 'rpc-fault.mjs', '--to', $o{to} // $self->{rpc},
        $o{cert} ? ('--cert', $o{cert}{file}, '--key', $o{cert}{keyfile}) : (), $o{port} ? ('--port', $o{port}) : ());
    $fault->{port} = $ready->{port};
    $fault->{url} = ($o{cert} ? 'https' : 'http') . '://' . ($o{host} // '127.0.0.1') . ":$ready->{port}";
    return $fault;
}

sub url { return $_[0]{url} // $_[0]{rpc} }

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    return unless $self->{owner} == $$;

    # children forked meanwhile may hold the other end of its pipe open
    kill TERM => $pid;
    waitpid $pid, 0;
    return;
}

sub DESTROY { my ($self) = @_; local ($?, $@, $!); $self->stop; return }

1;
