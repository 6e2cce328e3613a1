#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Reads the PCI_ROM lines of driver sources and writes them as make variables. A source without such lines is ignored.
use strict;
use warnings;

my %seen;
foreach my $source ( @ARGV ) {
	my ( $driver ) = ( $source =~ m{([^/]+)\.c$} ) or die "$source: not a C source\n";
	open my $in, "<", $source or die "$source: $!\n";
	my ( $nic, $roms ) = ( $driver, 0 );
	while ( <$in> ) {
		# The name of the list is that of the NIC; a driver may support several NICs.
		$nic = $1 if /^static const struct pci_id (\w+)_ids\[\]/;
		next unless /^\s*PCI_ROM\s*\(\s*0x([0-9a-f]{4})\s*,\s*0x([0-9a-f]{4})\s*,\s*"([^"]+)"\s*,\s*"([^"]+)"/i;
		my ( $vendor, $device, $name, $description ) = ( lc $1, lc $2, $3, $4 );
		print "DRIVERS += $driver\n" unless $roms++;
		print "\n# $name: $description\nROMS_$driver += $vendor$device\n";
		foreach my $rom ( $name, "$vendor$device" ) {
			next if $seen{$rom}++;
			print "DRIVER_$rom := $driver\nNIC_$rom := $nic\nPCI_ID_$rom := $vendor$device\n";
			print "PCI_VENDOR_$rom := 0x$vendor\nPCI_DEVICE_$rom := 0x$device\n";
		}
	}
}
