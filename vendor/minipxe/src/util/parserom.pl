#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Reads PCI_ROM lines of driver sources and writes them as make variables.
use strict;
use warnings;

foreach my $source ( @ARGV ) {
	my ( $driver ) = ( $source =~ m{([^/]+)\.c$} ) or die "$source: not a C source\n";
	open my $in, "<", $source or die "$source: $!\n";
	print "DRIVERS += $driver\n";
	my %seen;
	while ( <$in> ) {
		next unless /^\s*PCI_ROM\s*\(\s*0x([0-9a-f]{4})\s*,\s*0x([0-9a-f]{4})\s*,\s*"([^"]+)"\s*,\s*"([^"]+)"/i;
		my ( $vendor, $device, $name, $description ) = ( lc $1, lc $2, $3, $4 );
		print "\n# $name: $description\nROMS_$driver += $vendor$device\n";
		foreach my $rom ( $name, "$vendor$device" ) {
			# A driver's own name makes a ROM without IDs, even where a device is called the same.
			next if $rom eq $driver or $seen{$rom}++;
			print "DRIVER_$rom := $driver\nPCI_ID_$rom := $vendor$device\n";
			print "PCI_VENDOR_$rom := 0x$vendor\nPCI_DEVICE_$rom := 0x$device\n";
		}
	}
}
