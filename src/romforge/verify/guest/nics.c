/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An EFI application that uses all network cards of a guest at once. It prints each card and its driver, starts all
 * interfaces, and exchanges ARP packets by all of them, one step after another. Then it stops one after another, and
 * those that are left exchange packets again. The names of calls end with the card and the number of stopped ones.
 */
#include "network.h"

#define MOST 3
#define SENT_MOST 3

/*
 * Prints the reply. Where it does not come, sends again, as every user of a network must: the cards receive each other's
 * frames while the program waits for another one, and some drivers lose frames then.
 */
static void tell_reply_or_repeat ( struct nic *nic ) {
	struct reply reply;
	void *buffer;
	UINTN sent = 1;
	for ( ; ! await_reply ( nic, &reply ) && sent < SENT_MOST; sent++ ) {
		transmit ( nic, HEADER, FRAME );
		await_recycled ( nic, &buffer );
	}
	add_reply ( nic, "Receive", &reply );
	if ( sent > 1 )
		add_number ( nic->line, " sent", sent );
	end ( nic->line );
}

/* Sends by all cards that are left, before any receives. */
static void exchange_all ( struct nic *nics, UINTN stopped, UINTN count ) {
	for ( UINTN i = stopped; i < count; i++ ) {
		nics[i].suffix[3] = '0' + stopped;
		drain ( &nics[i] );
	}
	for ( UINTN i = stopped; i < count; i++ )
		tell ( &nics[i], "Transmit", transmit ( &nics[i], HEADER, FRAME ) );
	for ( UINTN i = stopped; i < count; i++ )
		tell_recycled ( &nics[i], "GetStatus" );
	for ( UINTN i = stopped; i < count; i++ )
		tell_reply_or_repeat ( &nics[i] );
}

ENTRY EFI_STATUS EFIAPI efi_main ( EFI_HANDLE image, EFI_SYSTEM_TABLE *system ) {
	struct line line;
	EFI_HANDLE cards[MOST];
	struct nic nics[MOST];
	UINTN taken = 0;

	begin ( &line, system, " nics" );
	UINTN count = find_cards ( &line, cards, MOST );
	for ( UINTN i = 0; i < count; i++ ) {
		line.services->ConnectController ( cards[i], 0, 0, 0 );
		tell_card ( &line, cards[i] );
	}
	for ( UINTN i = 0; i < count; i++ ) {
		EFI_HANDLE interface = find_interface ( &line, cards[i] );
		prepare ( &nics[i], &line, 15 + i );
		nics[i].suffix[0] = '.';
		nics[i].suffix[1] = '1' + i;
		nics[i].suffix[2] = '.';
		nics[i].suffix[3] = '0';
		if ( interface && take ( &nics[i], image, interface ) == EFI_SUCCESS )
			taken++;
	}
	if ( taken == count ) {
		for ( UINTN i = 0; i < count; i++ )
			start ( &nics[i] );
		for ( UINTN stopped = 0; stopped < count; stopped++ ) {
			exchange_all ( nics, stopped, count );
			stop ( &nics[stopped] );
		}
	}
	finish ( &line );
	return EFI_SUCCESS;
}
