#!/usr/bin/perl
# An MCP server over its standard streams, in the Perl that is part of Debian's base: it lists and reads the notes
# that its sandbox shows it below /notes. A line of its log goes to standard error, where it belongs.
use strict;
use warnings;
$| = 1;
print STDERR "notes: listening\n";

sub quoted {
    my ($text) = @_;
    $text =~ s/(["\\])/\\$1/g;
    $text =~ s/\n/\\n/g;
    $text =~ s/[\x00-\x1f]/ /g;
    return "\"$text\"";
}

sub answer { my ($id, $result) = @_; print "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":$result}\n"; }
sub refuse { my ($id, $code, $why) = @_; print "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":$code,\"message\":\"$why\"}}\n"; }
sub text { my ($text) = @_; return '{"content":[{"type":"text","text":' . quoted($text) . '}],"structuredContent":{"text":' . quoted($text) . '}}'; }
sub failed { my ($why) = @_; return '{"isError":true,"content":[{"type":"text","text":' . quoted($why) . '}]}'; }

my $output = '{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}';
my $tools = '{"tools":['
  . '{"name":"list","description":"Lists the names of all notes.","inputSchema":{"type":"object"},"outputSchema":' . $output . ',"annotations":{"readOnlyHint":true}},'
  . '{"name":"read","description":"Reads one note by its name.","inputSchema":{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]},"outputSchema":' . $output . ',"annotations":{"readOnlyHint":true}}'
  . ']}';

while (my $line = <STDIN>) {
    my ($method) = $line =~ /"method":"([^"]*)"/ or next;
    my ($id) = $line =~ /"id":("[^"]*"|-?\d+)/ or next;
    if ($method eq 'initialize') {
        answer($id, '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"notes","version":"1.0"}}');
    } elsif ($method eq 'tools/list') {
        answer($id, $tools);
    } elsif ($method eq 'tools/call' && $line =~ /"name":"list"/) {
        opendir(my $folder, '/notes') or do { answer($id, failed("no notes: $!")); next; };
        answer($id, text(join("\n", sort grep { !/^\./ } readdir($folder))));
    } elsif ($method eq 'tools/call') {
        my ($name) = $line =~ /"arguments":\{"name":"([^"\\\/]+)"/;
        if (defined $name && open(my $file, '<', "/notes/$name")) { local $/; answer($id, text(<$file>)); }
        else { answer($id, failed('there is no such note')); }
    } else {
        refuse($id, -32601, 'no such method');
    }
}
