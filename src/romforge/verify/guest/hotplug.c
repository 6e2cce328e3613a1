/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An EFI application that disconnects and connects the driver of each network card, and exchanges ARP packets before
 * and after that. It does not end: the host adds a card and resets the machine, which boots this program again.
 */
#include "network.h"

#define MOST 2

static void use ( struct nic *nic, EFI_HANDLE image, EFI_HANDLE card ) {
	EFI_HANDLE interface = find_interface ( nic->line, card );
	call ( nic, "Interface", EFI_SUCCESS );
	add_text ( nic->line, interface ? "there" : "gone" );
	end ( nic->line );
	if ( ! interface || take ( nic, image, interface ) != EFI_SUCCESS )
		return;
	start ( nic );
	exchange ( nic, "Transmit", "GetStatus", "Receive" );
	stop ( nic );
	tell ( nic, "CloseProtocol", nic->line->services->CloseProtocol ( interface, &SimpleNetwork, image, 0 ) );
}

static void reconnect ( struct nic *nic, EFI_HANDLE card ) {
	tell ( nic, "DisconnectController", nic->line->services->DisconnectController ( card, 0, 0 ) );
	call ( nic, "Disconnected", EFI_SUCCESS );
	add_text ( nic->line, find_interface ( nic->line, card ) ? "there" : "gone" );
	end ( nic->line );
	tell ( nic, "ConnectController", nic->line->services->ConnectController ( card, 0, 0, 1 ) );
}

ENTRY EFI_STATUS EFIAPI efi_main ( EFI_HANDLE image, EFI_SYSTEM_TABLE *system ) {
	struct line line;
	EFI_HANDLE cards[MOST];
	struct nic nic;

	begin ( &line, system, " hotplug" );
	UINTN count = find_cards ( &line, cards, MOST );
	for ( UINTN i = 0; i < count; i++ ) {
		line.services->ConnectController ( cards[i], 0, 0, 0 );
		tell_card ( &line, cards[i] );
	}
	for ( UINTN i = 0; i < count; i++ ) {
		prepare ( &nic, &line, 15 + i );
		nic.suffix[0] = '.';
		nic.suffix[1] = '1' + i;
		nic.suffix[2] = '.';
		nic.suffix[3] = '0';
		use ( &nic, image, cards[i] );
		reconnect ( &nic, cards[i] );
		nic.suffix[3] = '1';
		use ( &nic, image, cards[i] );
	}
	add_text ( &line, "romforge end" );
	end ( &line );
	for ( ; ; )
		line.services->Stall ( 1000000 );
}
