#!/usr/bin/perl
# A tool that is a program: a line of JSON in, a line of JSON out, as its first argument says. Perl is on every machine
# that has Debian's base; nothing beside it is needed.
use strict;
use warnings;
$| = 1;
my $mode = shift // 'counts';
my $calls = 0;

print STDERR "tool.pl begins as $mode\n";
while (my $line = <STDIN>) {
    my ($id) = $line =~ /"id":("[^"]*")/;
    my ($text) = $line =~ /"text":"([^"]*)"/;
    next unless defined $id;
    $calls++;
    exit 7 if $mode eq 'dies';
    next if $mode eq 'silent';
    if ($mode eq 'refuses') { print "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32602,\"message\":\"no text of mine\"}}\n"; next; }
    if ($mode eq 'fails') { print "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32000,\"message\":\"the dictionary is gone\"}}\n"; next; }
    print "counting\n" if $mode eq 'logs';
    my $words = () = $text =~ /\S+/g;
    $words = '"two"' if $mode eq 'lies';
    print "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"words\":$words,\"calls\":$calls}}\n";
    exit 0 if $mode eq 'leaves';
}
