/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An EFI application that calls the EFI_SIMPLE_NETWORK_PROTOCOL of PCI device 00:03.0 (UEFI Specification, 24.1) in
 * each state, and exchanges ARP packets with QEMU's user network. It prints a line for each call, with the status and
 * the result of the call. They are the same each time, and for each correct driver of a device.
 */
#include "network.h"

static const UINT8 MCastIPv4[16] = { 224, 1, 2, 3 };
static const UINT8 MCastIPv6[16] = { 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2 };

static void tell_mode ( struct nic *nic ) {
	const EFI_SIMPLE_NETWORK_MODE *mode = nic->snp->Mode;
	call ( nic, "Mode.sizes", EFI_SUCCESS );
	add_number ( nic->line, "address", mode->HwAddressSize );
	add_number ( nic->line, "header", mode->MediaHeaderSize );
	add_number ( nic->line, "packet", mode->MaxPacketSize );
	add_number ( nic->line, "nvram", mode->NvRamSize );
	end ( nic->line );
	call ( nic, "Mode.filters", EFI_SUCCESS );
	add_number ( nic->line, "mask", mode->ReceiveFilterMask );
	add_number ( nic->line, "most", mode->MaxMCastFilterCount );
	end ( nic->line );
	call ( nic, "Mode.link", EFI_SUCCESS );
	add_number ( nic->line, "type", mode->IfType );
	add_number ( nic->line, "changeable", mode->MacAddressChangeable );
	add_number ( nic->line, "multiple", mode->MultipleTxSupported );
	end ( nic->line );
	call ( nic, "Mode.media", EFI_SUCCESS );
	add_number ( nic->line, "detected", mode->MediaPresentSupported );
	add_number ( nic->line, "present", mode->MediaPresent );
	end ( nic->line );
	call ( nic, "Mode.permanent", EFI_SUCCESS );
	add_bytes ( nic->line, "address", mode->PermanentAddress.Addr, 6 );
	end ( nic->line );
	call ( nic, "Mode.broadcast", EFI_SUCCESS );
	add_bytes ( nic->line, "address", mode->BroadcastAddress.Addr, 6 );
	end ( nic->line );
}

static void tell_multicast ( struct nic *nic, const char *name, BOOLEAN ipv6, const UINT8 *address ) {
	EFI_MAC_ADDRESS found;
	fill ( &found, 0, sizeof ( found ) );
	EFI_STATUS status = nic->snp->MCastIpToMac ( nic->snp, ipv6, address, &found );
	call ( nic, name, status );
	add_bytes ( nic->line, "address", found.Addr, 6 );
	end ( nic->line );
}

static void tell_address ( struct nic *nic, const char *name, BOOLEAN reset, EFI_MAC_ADDRESS *address ) {
	call ( nic, name, nic->snp->StationAddress ( nic->snp, reset, address ) );
	end ( nic->line );
}

static void tell_statistics ( struct nic *nic, const char *name, BOOLEAN reset ) {
	EFI_NETWORK_STATISTICS statistics;
	UINTN size = sizeof ( statistics );
	fill ( &statistics, 0, size );
	EFI_STATUS status = nic->snp->Statistics ( nic->snp, reset, &size, &statistics );
	call ( nic, name, status );
	if ( status == EFI_SUCCESS && ! reset ) {
		add_number ( nic->line, "sent", statistics.TxGoodFrames );
		add_number ( nic->line, "received", statistics.RxGoodFrames );
	}
	end ( nic->line );
}

/* The calls, in their order */

static void while_stopped ( struct nic *nic ) {
	EFI_SIMPLE_NETWORK_PROTOCOL *snp = nic->snp;
	UINTN size = sizeof ( nic->received );
	UINT32 interrupts;
	void *buffer;
	tell ( nic, "GetStatus.stopped", snp->GetStatus ( snp, &interrupts, &buffer ) );
	tell ( nic, "Transmit.stopped", transmit ( nic, HEADER, FRAME ) );
	tell ( nic, "Receive.stopped", receive ( nic, &size ) );
}

static void while_started ( struct nic *nic ) {
	EFI_SIMPLE_NETWORK_PROTOCOL *snp = nic->snp;
	UINTN size = sizeof ( nic->received );
	tell_state ( nic, "Start", snp->Start ( snp ) );
	tell_state ( nic, "Start.again", snp->Start ( snp ) );
	tell ( nic, "Transmit.started", transmit ( nic, HEADER, FRAME ) );
	tell ( nic, "Receive.started", receive ( nic, &size ) );
}

static void settings ( struct nic *nic ) {
	EFI_SIMPLE_NETWORK_PROTOCOL *snp = nic->snp;
	UINT32 multicast = EFI_SIMPLE_NETWORK_RECEIVE_MULTICAST;
	EFI_MAC_ADDRESS other, others[2];
	UINT8 data[16];
	for ( int i = 0; i < 2; i++ ) {
		fill ( &others[i], 0, sizeof ( others[i] ) );
		others[i].Addr[0] = 1;
		others[i].Addr[2] = 0x5e;
		others[i].Addr[5] = i + 1;
	}
	set_filters ( nic, "ReceiveFilters.set" );
	tell_filters ( nic, "ReceiveFilters.list", snp->ReceiveFilters ( snp, multicast, 0, 0, 2, others ) );
	tell_filters ( nic, "ReceiveFilters.none", snp->ReceiveFilters ( snp, 0, multicast, 1, 0, 0 ) );
	tell ( nic, "ReceiveFilters.wrong", snp->ReceiveFilters ( snp, 0x80000000, 0, 0, 0, 0 ) );
	tell_multicast ( nic, "MCastIpToMac.ipv4", 0, MCastIPv4 );
	tell_multicast ( nic, "MCastIpToMac.ipv6", 1, MCastIPv6 );
	copy ( &other, &nic->address, sizeof ( other ) );
	other.Addr[5] ^= 1;
	tell_address ( nic, "StationAddress.other", 0, &other );
	tell_address ( nic, "StationAddress.back", 0, &nic->address );
	tell_address ( nic, "StationAddress.reset", 1, 0 );
	tell ( nic, "NvData.read", snp->NvData ( snp, 1, 0, sizeof ( data ), data ) );
}

static void packets ( struct nic *nic ) {
	UINTN size;
	EFI_STATUS status = EFI_NOT_READY;
	tell ( nic, "Receive.empty", drain ( nic ) );
	tell_statistics ( nic, "Statistics.reset", 1 );
	tell ( nic, "Transmit.wrong", transmit ( nic, HEADER - 1, FRAME ) );
	tell ( nic, "Transmit.short", transmit ( nic, HEADER, HEADER - 1 ) );
	tell ( nic, "Transmit", transmit ( nic, HEADER, FRAME ) );
	tell_recycled ( nic, "GetStatus" );
	tell_reply ( nic, "Receive" );
	tell ( nic, "Receive.drained", drain ( nic ) );

	/* A frame with a header of our own, and a buffer that is too small for the reply. */
	make_request ( nic );
	fill ( nic->sent, 0xff, 6 );
	copy ( nic->sent + 6, nic->address.Addr, 6 );
	nic->sent[12] = ARP >> 8;
	nic->sent[13] = ARP & 0xff;
	tell ( nic, "Transmit.whole", nic->snp->Transmit ( nic->snp, 0, FRAME, nic->sent, 0, 0, 0 ) );
	tell_recycled ( nic, "GetStatus.whole" );
	for ( int i = 0; i < POLLS && status == EFI_NOT_READY; i++ ) {
		size = 16;
		status = receive ( nic, &size );
		if ( status == EFI_NOT_READY )
			rest ( nic->line );
	}
	call ( nic, "Receive.small", status );
	add_text ( nic->line, size >= HEADER + 28 ? "size=needed" : "size=other" );
	end ( nic->line );
	drain ( nic );
	tell_statistics ( nic, "Statistics.read", 0 );
}

static void drive ( struct nic *nic ) {
	EFI_SIMPLE_NETWORK_PROTOCOL *snp = nic->snp;
	while_stopped ( nic );
	while_started ( nic );
	tell_state ( nic, "Initialize", snp->Initialize ( snp, 0, 0 ) );
	tell_mode ( nic );
	settings ( nic );
	packets ( nic );

	tell_state ( nic, "Reset", snp->Reset ( snp, 0 ) );
	set_filters ( nic, "ReceiveFilters.reset" );
	exchange ( nic, "Transmit.reset", "GetStatus.reset", "Receive.reset" );

	tell_state ( nic, "Shutdown", snp->Shutdown ( snp ) );
	tell ( nic, "Transmit.shutdown", transmit ( nic, HEADER, FRAME ) );
	tell_state ( nic, "Initialize.again", snp->Initialize ( snp, 0, 0 ) );
	set_filters ( nic, "ReceiveFilters.again" );
	exchange ( nic, "Transmit.again", "GetStatus.again", "Receive.again" );

	tell_state ( nic, "Shutdown.again", snp->Shutdown ( snp ) );
	tell_state ( nic, "Stop", snp->Stop ( snp ) );
	tell_state ( nic, "Stop.again", snp->Stop ( snp ) );
	tell ( nic, "Transmit.end", transmit ( nic, HEADER, FRAME ) );
}

ENTRY EFI_STATUS EFIAPI efi_main ( EFI_HANDLE image, EFI_SYSTEM_TABLE *system ) {
	struct line line;
	struct nic nic;

	begin ( &line, system, " snp" );
	EFI_HANDLE device = find_device ( &line );
	if ( device )
		line.services->ConnectController ( device, 0, 0, 0 );
	tell_rom ( &line, device );
	tell_driver ( &line, device );
	prepare ( &nic, &line, 15 );
	EFI_HANDLE interface = find_interface ( &line, device );
	if ( interface && take ( &nic, image, interface ) == EFI_SUCCESS )
		drive ( &nic );
	finish ( &line );
	return EFI_SUCCESS;
}
