#!/usr/bin/perl

# Every directive and variable that the source defines is on the page of its
# module, with the contexts that it has there, and the other way round.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Tee::Util qw(root slurp);

my $root = root();

my %CONTEXT = (
    NGX_HTTP_MAIN_CONF => 'http',
    NGX_HTTP_SRV_CONF => 'server',
    NGX_HTTP_LOC_CONF => 'location',
    NGX_HTTP_LIF_CONF => 'if in location',
    NGX_HTTP_UPS_CONF => 'upstream',
);


# What the source says: page => { directive => contexts }

my (%source, %variables);

for my $file (glob "$root/src/ngx/*.c") {
    my $text = slurp($file);
    my ($feature) = $file =~ m{/ngx_http_(tee_[a-z]+)[^/]*\z};
    my $page = "ngx_http_${feature}_module";

    # { ngx_string("name"), FLAGS, ...: a directive; those of the block have a
    # table of slots

    while ($text =~ /(?:\{\s*ngx_string|_slot)\("(\w+)"\)?,\s*
                     ((?:NGX_\w+\s*\|?\s*)+),/xg)
    {
        my ($name, $flags) = ($1, $2);
        my @contexts = map { $CONTEXT{$_} // () } $flags =~ /\w+/g;

        $source{$page}{$name} = join(', ', sort @contexts)
            || ($feature eq 'tee_keys' ? 'tee_gateway_keys' : $feature);
    }

    # a directive of the block, or a variable, otherwise

    while ($text =~ /ngx_string\("(tee_\w+)"\)/g) {
        $variables{$1} = $page if !$source{$page}{$1};
    }
}


# What the pages say

my (%pages, %documented);

for my $file (glob "$root/docs/ngx_http_*.md") {
    my ($page) = $file =~ m{/([^/]+)\.md\z};
    my $text = slurp($file);

    for my $entry (split /^(?=###? )/m, $text) {
        my ($name) = $entry =~ /\A### (\w+)$/m or next;

        my ($context) = $entry =~ /^\*\*Context:\*\* (.+?)\s*$/m;

        $pages{$page}{$name} = join ', ',
            sort split /, /, ($context // 'none') =~ tr/`//dr;

        like($entry, qr/^\*\*Syntax:\*\* +\*\*`\Q$name\E`\*\*[^;]*;  $/m,
            "$name has a syntax");
        like($entry, qr/^\*\*Default:\*\* /m, "$name has a default");
        like($entry, qr/^\*\*Since:\*\* [0-9]+\.[0-9]+\.[0-9]+/m,
            "$name says since when");
    }

    $documented{$1} = $page while $text =~ /^- `\$(tee_\w+)`/mg;
}

cmp_ok(scalar(map { keys %$_ } values %source), '>', 5,
    'the source has directives');

for my $page (sort keys %{ { %source, %pages } }) {
    is_deeply($pages{$page} // {}, $source{$page} // {},
        "the directives of $page");
}

is_deeply(\%documented, \%variables, 'the variables');


# The closed lists: reasons of errors, counters, and what is logged

my $text = join '', map { slurp($_) } glob "$root/src/ngx/*.[ch]";
my %have = map { my $page = $_; $page => slurp("$root/docs/$page.md") }
    qw(ngx_http_tee_problem_module ngx_http_tee_status_module
       ngx_http_tee_pin_module operations);
my $status = $have{ngx_http_tee_status_module} . $have{ngx_http_tee_pin_module};

my %reasons = map { $_ => 1 }
    $text =~ /ngx_http_tee_(?:problem|gateway_refuse|client_refuse|client_nobody)\([^;]*?"([a-z_]+)",/g,
    map { /"([a-z_]+)"/g } $text =~ /->reason = ([^;]+);/g;
my %listed = map { $_ => 1 }
    $have{ngx_http_tee_problem_module} =~ /^\| `([a-z_]+)` \|/mg;

is_deeply(\%listed, \%reasons, 'the reasons of errors');

my ($names) = $text =~ /reg_counter_names\[\w+\] = \{(.*?)\}/s;
my @counters = (($names // '') =~ /"(\w+)"/g,
    $text =~ /\{ "(?:upstream|pin|relay|gateway|sign|verify|client)", "(\w+)" \}/g);
my @unknown = grep { $status !~ /`$_`/ } @counters;

cmp_ok(scalar @counters, '>', 20, 'the source has counters');
is("@unknown", '', 'the counters');

my @silent;

while ($text =~ /ngx_log_error\(NGX_LOG_(?:NOTICE|WARN|ERR|CRIT|ALERT),
                 [^"]*?,\s* ((?:"(?:[^"\\]|\\.)*"\s*)+)/xg)
{
    my $message = join '', $1 =~ /"((?:[^"\\]|\\.)*)"/g;

    $message =~ s/\\"/"/g;
    $message =~ s/(?:%(?:u[ADLiz]|[Vsdil]))+/\xe2\x80\xa6/g;
    push @silent, $message if index($have{operations}, "`$message`") < 0;
}

is(join("\n", @silent), '', 'the messages');

my $internal = qr/no memory|event error|shutting down|bad server name/;
my @whys = grep { !/$internal/ } map { join '', /"((?:[^"\\]|\\.)*)"/g }
    $text =~ /_(?:fetch_next|fetch_done|rpc_failed)\([^;"]*,\s+
              ((?:"(?:[^"\\]|\\.)*"\s*)+)[,)]/xg;
@silent = grep { my $why = s/\\"/"/gr; $have{operations} !~ /`\Q$why\E/ } @whys;

cmp_ok(scalar @whys, '>', 15, 'an RPC can fail in many ways');
is(join("\n", @silent), '', 'each of them');


# Each source file has its place in the architecture

my $map = slurp("$root/docs/architecture.md");
my @lost;

for my $file (map { s{.*/}{}r =~ s/\.c\z//r } glob "$root/src/*/*.c") {
    my $tail = $file =~ s/\A(?:ngx_http_tee|tee_(?:registry|hpke|ohttp|bhttp))//r;

    push @lost, $file if $file ne 'tee' && $map !~ m{`(?:\w+/)?(?:\Q$file\E|$tail)`};
}

is("@lost", '', 'the architecture has every file');


# Links between the pages, and to files, lead somewhere

for my $file ("$root/README.md", glob "$root/docs/*.md") {
    my $text = slurp($file);
    my ($dir) = $file =~ m{\A(.*)/};
    my $short = substr $file, 1 + length $root;
    my @dead;

    for my $link (grep { !/^https?:/ } $text =~ /\]\(([^)\s]+)\)/g) {
        my ($to, $anchor) = $link =~ /\A([^#]*)#?(.*)\z/;
        my $target = $to eq '' ? $file : "$dir/$to";
        my %headings = map { lc(tr/ /-/r =~ s/[^\w-]//gr) => 1 }
            $anchor eq '' ? () : slurp($target) =~ /^#+ (.*)$/mg;

        push @dead, $link if !-e $target || $anchor ne '' && !$headings{$anchor};
    }


    is("@dead", '', "$short has no dead links");

    # tables and code cannot be wrapped
    my $body = $text =~ s/^```.*?^```$//gmsr;
    my @long = grep { length > 80 && !/^\|/ } split /\n/, $body;

    is("@long", '', "$short is wrapped at 80 columns");
}

done_testing();
