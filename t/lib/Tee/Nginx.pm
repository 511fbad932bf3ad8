package Tee::Nginx;

# One throw-away nginx: own directory, own ports, gone with the object.
#
#   my $t = Tee::Nginx->new(
#       http => <<'CONF',                    # what is inside of http {}
#           server { listen 127.0.0.1:%%PORT_http%%; ... }
#   CONF
#       files => { 'tees.json' => $text },   # under %%DIR%%
#       vars => { rpc => $url },             # for %%rpc%%
#       workers => 2,                        # with a master; default: one process
#       plain => 1,                          # without the module: a backend
#   );
#   $t->get('/path'); $t->post('/path', $type, $body, [headers]); $t->port('http');
#   $t->finish;                              # the last three tests of a file
#
# A file's last tests are free: nothing serious was logged, no sanitizer had
# anything to say, and nginx ended with status 0.

use strict;
use warnings;

use IO::Socket::IP;
use POSIX qw(WNOHANG);
use Test::More;

use Tee::Http;
use Tee::Util qw(free_port patience root scratch slurp spew wait_until);

sub new {
    my ($class, %o) = @_;
    my $self = bless { %o, dir => scratch(), owner => $$, user => $>, }, $class;
    mkdir "$self->{dir}/$_" for qw(logs tmp);
    $self->write($_, $o{files}{$_}) for keys %{ $o{files} // {} };

    $self->start unless $o{stopped};
    return $self;
}


# -- what it runs

sub binary { return $ENV{TEE_NGINX} // '/usr/sbin/nginx' }

sub module { return $ENV{TEE_MODULE} // root() . '/t/.build/debian/ngx_http_tee_module.so' }

sub version {
    my ($text) = `@{[ _env() ]} @{[ binary() ]} -v 2>&1` =~ m{nginx/([\d.]+)};
    return sprintf '%d.%03d%03d', split /\./, $text;
}

sub _env {
    my ($dir, $leaks) = @_;
    return '' unless $ENV{TEE_SANITIZE};
    my $san = root() . '/t/san';
    my $log = $dir ? ":log_path=$dir/logs/sanitizer" : '';
    $leaks //= 0;
    return join ' ', 'env',
        "ASAN_OPTIONS=detect_odr_violation=0:verify_asan_link_order=0:fast_unwind_on_malloc=0:detect_leaks=$leaks$log",
        "LSAN_OPTIONS=suppressions=$san/lsan.supp:print_suppressions=0",
        "UBSAN_OPTIONS=print_stacktrace=1$log",
        "LD_PRELOAD=$ENV{TEE_SANITIZE}";
}

sub _conf {
    my ($self, $http) = @_;
    my $dir = $self->{dir};
    my $conf = join "\n",
        $self->{plain} ? '' : "load_module @{[ module() ]};",
        $self->{daemon} ? 'daemon on;' : 'daemon off;',
        $self->{workers} ? "master_process on; worker_processes $self->{workers};" : 'master_process off;',
        "pid $dir/nginx.pid;",
        "error_log $dir/logs/error.log @{[ $self->{log} // 'info' ]};",
        $self->{user} == 0 ? 'user root;' : '',
        $ENV{TEE_SANITIZE} ? 'env ASAN_OPTIONS; env LSAN_OPTIONS; env UBSAN_OPTIONS; env LD_PRELOAD;' : '',
        $self->{main} // '',
        "events { worker_connections @{[ $self->{connections} // 1024 ]}; }",
        'http {',
        "    access_log $dir/logs/access.log;",
        map("    ${_}_temp_path $dir/tmp/$_;", qw(client_body proxy fastcgi uwsgi scgi)),
        ref $http ? $http->($self) : $http,
        '}', '';

    # since 1.29.7 every upstream keeps connections unless told not to
    $conf =~ s/(\bupstream \w+ \{)(?![^{}]*\bkeepalive\b)([^{}]*\btee_peers [^;{}]*;)/$1$2 keepalive 0;/g
        if version() >= 1.029007;

    $conf =~ s/%%PORT_(\w+)%%/$self->port($1)/ge;
    $conf =~ s/%%DIR%%/$dir/g;
    $conf =~ s/%%(\w+)%%/$self->{vars}{$1} \/\/ die "no value for %%$1%%\n"/ge;
    return $conf;
}

sub _command {
    my ($self, @more) = @_;
    my $dir = $self->{dir};

    # a test of the configuration frees nothing on its way out
    my $env = _env($dir, (grep $_ eq '-t', @more) ? 0 : 1);
    return (split(' ', $env), binary(), '-p', "$dir/", '-c', "$dir/nginx.conf", '-e', "$dir/logs/error.log", @more);
}

sub start {
    my ($self) = @_;

    for my $try (1 .. 5) {
        $self->write('nginx.conf', $self->_conf($self->{http}));
        my $why = $self->_start // return $self;

        # whoever took the port meanwhile may keep it
        die "nginx did not start:\n$why" unless $why =~ /Address already in use/ && $try < 5;
        delete $self->{ports};
        unlink "$self->{dir}/logs/error.log";
    }
}

sub _start {
    my ($self) = @_;
    my $dir = $self->{dir};
    defined(my $pid = fork) or die "fork: $!\n";

    if (!$pid) {
        open STDERR, '>', "$dir/logs/stderr.log";
        open STDIN, '<', '/dev/null';
        { exec $self->_command }
        POSIX::_exit(127);
    }

    if ($self->{daemon}) {
        waitpid $pid, 0;
        return $self->log . slurp("$dir/logs/stderr.log") if $?;
        wait_until { slurp("$dir/nginx.pid") =~ /\d/ } or return 'no pid file';
        ($pid) = slurp("$dir/nginx.pid") =~ /(\d+)/;
    }

    $self->{pid} = $pid;
    my $ended;

    for my $name (keys %{ $self->{ports} // {} }) {
        next if $name =~ /^_/;
        wait_until {
            $ended = !$self->alive;
            $ended || IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $self->{ports}{$name})
        } 20;
        last if $ended;
    }

    if ($self->{workers} && !$ended) {
        wait_until { (() = $self->log =~ /start worker process \d/g) >= $self->{workers} };
    }

    return undef unless $ended;
    delete $self->{pid};
    return $self->log . slurp("$dir/logs/stderr.log");
}


# -- what it has

sub dir { return $_[0]{dir} }
sub log { return slurp("$_[0]{dir}/logs/error.log") }
sub access_log { return slurp("$_[0]{dir}/logs/access.log") }
sub pid { return $_[0]{pid} }

# ports whose name begins with "_" are not nginx's own

sub port { my ($self, $name) = @_; return $self->{ports}{ $name // 'http' } //= free_port() }

sub write {
    my ($self, $name, $text, $mode) = @_;
    mkdir "$self->{dir}/$1" if $name =~ m{^(\w+)/};

    # nobody else's business
    $mode //= 0600 if $name =~ /\.(?:key|seed)$/;
    return spew("$self->{dir}/$name", $text, $mode);
}

sub read { my ($self, $name) = @_; return slurp("$self->{dir}/$name") }


# how often something was logged

sub logged {
    my ($self, $pattern) = @_;
    my $n = () = $self->log =~ /$pattern/mg;
    return $n;
}

sub await_log {
    my ($self, $pattern, $times, $seconds) = @_;
    return wait_until { $self->logged($pattern) >= ($times // 1) } $seconds;
}


# -- requests

sub client { my ($self, %o) = @_; return Tee::Http->new(port => $self->port($o{name}), %o) }

sub request {
    my ($self, @request) = @_;
    return Tee::Http::request($self->port, @request);
}

sub get { my ($self, $path, $headers) = @_; return $self->request(GET => $path, $headers) }

sub post {
    my ($self, $path, $type, $body, $headers) = @_;
    return $self->request(POST => $path, [ defined $type ? ('Content-Type' => $type) : (), @{ $headers // [] } ], $body);
}

sub status { my ($self) = @_; return $self->get('/tee/status')->json }


# one registry, one entry, or one RPC of the status

sub registry_status {
    my ($self, $name) = @_;
    my ($found) = grep !defined $name || $_->{name} eq $name, @{ $self->status->{registries} // [] };
    return $found // {};
}


# -- its life

sub alive {
    my ($self) = @_;
    return 0 unless $self->{pid};
    return process_alive($self->{pid}) if $self->{daemon};
    return 1 if waitpid($self->{pid}, WNOHANG) == 0;
    $self->{exit} = $?;
    return 0;
}

# a zombie that nobody reaps is not alive

sub process_alive {
    my ($pid) = @_;
    return slurp("/proc/$pid/stat") =~ /^\d+ \(.*\) [^ZX]/s ? 1 : 0;
}

sub workers {
    my ($self) = @_;
    my %gone = map { $_ => 1 } $self->log =~ /(?:worker process|process) (\d+) exited/g;
    return grep !$gone{$_} && process_alive($_), $self->log =~ /start worker process (\d+)/g;
}

sub reconfigure {
    my ($self, $http) = @_;
    $self->{http} = $http;
    return $self->write('nginx.conf', $self->_conf($http));
}

# all new workers run and all old ones have stopped to accept

sub reload {
    my ($self) = @_;
    my $started = $self->logged(qr/start worker process \d/);
    my @old = $self->workers;
    kill HUP => $self->{pid};
    return wait_until {
        my %stopping = map { $_ => 1 } $self->log =~ / (\d+)#\d+: gracefully shutting down/g;
        $self->logged(qr/start worker process \d/) >= $started + $self->{workers}
            && !grep !$stopping{$_} && process_alive($_), @old
    } 20;
}

# a new master with new workers takes over; true if the old one has ended

sub upgrade {
    my ($self) = @_;
    my ($dir, $old) = @{$self}{qw(dir pid)};
    my $started = $self->logged(qr/start worker process \d/);
    kill USR2 => $old;
    wait_until { -e "$dir/nginx.pid.oldbin" && slurp("$dir/nginx.pid") =~ /\d/ } 20 or return 0;
    wait_until { $self->logged(qr/start worker process \d/) >= $started + $self->{workers} } 20 or return 0;
    ($self->{pid}) = slurp("$dir/nginx.pid") =~ /(\d+)/;
    kill QUIT => $old;
    return wait_until { !process_alive($old) } 60;
}

# an exit status; undef if it had to be killed

sub stop {
    my ($self, $signal) = @_;
    return $self->{exit} unless $self->{pid} && $self->{owner} == $$;
    kill $signal // 'QUIT', $self->{pid};
    my $ended = wait_until { !$self->alive } 20;

    if (!$ended) {
        diag("nginx $self->{pid} had to be killed");
        kill KILL => $self->{pid}, $self->workers;
        waitpid $self->{pid}, 0 unless $self->{daemon};
        $self->{exit} = undef;

    } elsif ($self->{daemon}) {
        $self->{exit} = 0;
    }

    delete $self->{pid};
    return $self->{exit};
}

sub sanitizer_errors {
    my ($self) = @_;
    return join '', (map slurp($_), glob "$self->{dir}/logs/sanitizer*"),
        grep(/runtime error:|Sanitizer/, split /^/, $self->log . slurp("$self->{dir}/logs/stderr.log"));
}


# The last tests of a file; "allow" is a pattern for serious lines that the
# test has provoked.

sub finish {
    my ($self, %o) = @_;
    my $exit = $self->stop;
    my @serious = grep /\[(?:alert|emerg|crit)\]/, split /\n/, $self->log;
    @serious = grep !/$o{allow}/, @serious if $o{allow};
    is join("\n", @serious), '', 'no alerts';
    is $self->sanitizer_errors, '', 'no sanitizer errors';
    is $exit, 0, 'clean exit';
    return;
}


# What nginx -t says of a configuration: its [emerg] lines, "" if it is fine.
# The second value has everything, warnings too.

sub conf_error {
    my ($class, %o) = @_;
    my $self = bless { %o, dir => scratch(), owner => $$, user => $> }, $class;
    mkdir "$self->{dir}/$_" for qw(logs tmp);
    $self->write($_, $o{files}{$_}) for keys %{ $o{files} // {} };
    $self->write('nginx.conf', $self->_conf($o{http}));

    my $pid = open(my $out, '-|') // die "fork: $!\n";

    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        { exec $self->_command('-t') }
        POSIX::_exit(127);
    }

    my $text = do { local $/; <$out> } // '';
    close $out;
    my $status = $?;

    $text .= $self->log . join '', map slurp($_), glob "$self->{dir}/logs/sanitizer*";
    my %seen;
    my $error = join "\n", grep !$seen{$_}++, $text =~ /\[emerg\] (?:\d+#\d+: )?(.*)$/mg;
    $error = "status $status without a reason: $text" if $status && $error eq '';
    $error = $text if $text =~ /Sanitizer|runtime error/;
    $error =~ s/ in \Q$self->{dir}\E\S+//g;
    $error =~ s/\Q$self->{dir}\E/DIR/g;
    return wantarray ? ($error, $text) : $error;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    $self->stop('TERM') if $self->{pid} && $self->{owner} == $$;
    return;
}

1;
