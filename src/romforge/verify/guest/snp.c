/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An EFI application that calls the EFI_SIMPLE_NETWORK_PROTOCOL of PCI device 00:03.0 (UEFI Specification, 24.1) in
 * each state, and exchanges ARP packets with QEMU's user network. It prints a line for each call, with the status and
 * the result of the call. They are the same each time, and for each correct driver of a device.
 */
#include "device.h"

#define HEADER 14		/* bytes, of an Ethernet frame */
#define FRAME 60		/* bytes, the shortest one */
#define ARP 0x0806
#define POLLS 5000		/* of a millisecond each */

static const UINT8 Gateway[4] = { 10, 0, 2, 2 };
static const UINT8 Guest[4] = { 10, 0, 2, 15 };
static const UINT8 MCastIPv4[16] = { 224, 1, 2, 3 };
static const UINT8 MCastIPv6[16] = { 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2 };

/* The interface under test, and the buffers of the calls. */
struct nic {
	struct line line;
	EFI_SIMPLE_NETWORK_PROTOCOL *snp;
	UINT8 sent[FRAME + 4];
	UINT8 received[2048];
	EFI_MAC_ADDRESS address, others[2];
	EFI_NETWORK_STATISTICS statistics;
};

/* Lines */

/* Begins the line of a call: its name, and its status with the error bit moved to bit 31. */
static void call ( struct nic *nic, const char *name, EFI_STATUS status ) {
	UINT32 code = status & 0x7fffffff;
	if ( status & EFI_ERROR_BIT )
		code |= 0x80000000;
	add_text ( &nic->line, "romforge call " );
	add_text ( &nic->line, name );
	add ( &nic->line, ' ' );
	add_hex ( &nic->line, code );
}

static void add_decimal ( struct line *line, UINTN value ) {
	char digits[10];
	int count = 0;
	if ( value > 999999999 )
		value = 999999999;
	do {
		digits[count++] = '0' + value % 10;
		value /= 10;
	} while ( value );
	while ( count )
		add ( line, digits[--count] );
}

static void add_name_of ( struct line *line, const char *name ) {
	add_text ( line, name );
	add ( line, '=' );
}

static void add_number ( struct line *line, const char *name, UINTN value ) {
	add_name_of ( line, name );
	add_decimal ( line, value );
	add ( line, ' ' );
}

static void add_bytes ( struct line *line, const char *name, const UINT8 *bytes, UINTN count ) {
	static const char digits[] = "0123456789abcdef";
	add_name_of ( line, name );
	for ( UINTN i = 0; i < count; i++ ) {
		if ( i )
			add ( line, ':' );
		add ( line, digits[bytes[i] >> 4] );
		add ( line, digits[bytes[i] & 0xf] );
	}
	add ( line, ' ' );
}

/* Prints a call that has no result but its status. */
static void tell ( struct nic *nic, const char *name, EFI_STATUS status ) {
	call ( nic, name, status );
	end ( &nic->line );
}

/* Prints a call, and the state after it. */
static void tell_state ( struct nic *nic, const char *name, EFI_STATUS status ) {
	call ( nic, name, status );
	add_number ( &nic->line, "state", nic->snp->Mode->State );
	end ( &nic->line );
}

/* Bytes. There is no C library, and compilers call its memcpy where a struct is assigned. */

static void fill ( void *to, UINT8 value, UINTN count ) {
	for ( UINTN i = 0; i < count; i++ )
		( ( UINT8 * ) to )[i] = value;
}

static void copy ( void *to, const void *from, UINTN count ) {
	for ( UINTN i = 0; i < count; i++ )
		( ( UINT8 * ) to )[i] = ( ( const UINT8 * ) from )[i];
}

static int equal ( const void *one, const void *other, UINTN count ) {
	for ( UINTN i = 0; i < count; i++ ) {
		if ( ( ( const UINT8 * ) one )[i] != ( ( const UINT8 * ) other )[i] )
			return 0;
	}
	return 1;
}

/* Calls that need more than one line of code */

/* Makes an ARP request for the gateway, after space for the Ethernet header. */
static void make_request ( struct nic *nic ) {
	static const UINT8 fixed[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };	/* Ethernet, IPv4, a request */
	UINT8 *arp = nic->sent + HEADER;
	fill ( nic->sent, 0, sizeof ( nic->sent ) );
	copy ( arp, fixed, sizeof ( fixed ) );
	copy ( arp + 8, nic->address.Addr, 6 );
	copy ( arp + 14, Guest, 4 );
	copy ( arp + 24, Gateway, 4 );
}

/* Broadcasts the request; the driver makes the Ethernet header. */
static EFI_STATUS transmit ( struct nic *nic, UINTN header, UINTN size ) {
	UINT16 protocol = ARP;
	make_request ( nic );
	return nic->snp->Transmit ( nic->snp, header, size, nic->sent, 0, &nic->snp->Mode->BroadcastAddress, &protocol );
}

static EFI_STATUS receive ( struct nic *nic, UINTN *size ) {
	UINTN header = 0;
	UINT16 protocol = 0;
	EFI_MAC_ADDRESS from, to;
	return nic->snp->Receive ( nic->snp, &header, size, nic->received, &from, &to, &protocol );
}

/* Receives until there are no more frames. Returns the status of the last call. */
static EFI_STATUS drain ( struct nic *nic ) {
	EFI_STATUS status = EFI_SUCCESS;
	for ( int i = 0; i < 100 && status != EFI_NOT_READY; i++ ) {
		UINTN size = sizeof ( nic->received );
		status = receive ( nic, &size );
	}
	return status;
}

/* Waits until the driver returns the buffer of the sent frame, and prints whether it did. */
static void tell_recycled ( struct nic *nic, const char *name ) {
	EFI_STATUS status = EFI_SUCCESS;
	void *buffer = 0;
	for ( int i = 0; i < POLLS && status == EFI_SUCCESS && ! buffer; i++ ) {
		UINT32 interrupts = 0;
		status = nic->snp->GetStatus ( nic->snp, &interrupts, &buffer );
		if ( ! buffer )
			nic->line.services->Stall ( 1000 );
	}
	call ( nic, name, status );
	add_text ( &nic->line, "buffer=" );
	add_text ( &nic->line, buffer == nic->sent ? "returned" : buffer ? "other" : "kept" );
	end ( &nic->line );
}

/* Waits for the gateway's reply and prints its content. Other frames are ignored. */
static void tell_reply ( struct nic *nic, const char *name ) {
	EFI_STATUS status = EFI_NOT_READY;
	EFI_MAC_ADDRESS from, to;
	UINTN header = 0;
	UINT16 protocol = 0;
	const UINT8 *arp = nic->received + HEADER;
	int found = 0;
	for ( int i = 0; i < POLLS && ! found; i++ ) {
		UINTN size = sizeof ( nic->received );
		fill ( nic->received, 0, FRAME );
		status = nic->snp->Receive ( nic->snp, &header, &size, nic->received, &from, &to, &protocol );
		if ( status == EFI_NOT_READY )
			nic->line.services->Stall ( 1000 );
		else if ( status != EFI_SUCCESS )
			break;
		else
			found = size >= HEADER + 28 && protocol == ARP && arp[7] == 2 && equal ( arp + 14, Gateway, 4 );
	}
	call ( nic, name, status );
	if ( found ) {
		int right = header == HEADER && equal ( from.Addr, arp + 8, 6 ) && equal ( to.Addr, nic->address.Addr, 6 ) &&
			equal ( arp + 18, nic->address.Addr, 6 );
		add_bytes ( &nic->line, "sender", arp + 8, 6 );
		add_text ( &nic->line, right ? "fields=right" : "fields=wrong" );
	} else {
		add_text ( &nic->line, "no reply" );
	}
	end ( &nic->line );
}

static void tell_filters ( struct nic *nic, const char *name, EFI_STATUS status ) {
	call ( nic, name, status );
	add_number ( &nic->line, "setting", nic->snp->Mode->ReceiveFilterSetting );
	add_number ( &nic->line, "list", nic->snp->Mode->MCastFilterCount );
	end ( &nic->line );
}

static void set_filters ( struct nic *nic, const char *name ) {
	UINT32 enable = EFI_SIMPLE_NETWORK_RECEIVE_UNICAST | EFI_SIMPLE_NETWORK_RECEIVE_BROADCAST;
	tell_filters ( nic, name, nic->snp->ReceiveFilters ( nic->snp, enable, 0, 0, 0, 0 ) );
}

static void tell_mode ( struct nic *nic ) {
	const EFI_SIMPLE_NETWORK_MODE *mode = nic->snp->Mode;
	call ( nic, "Mode.sizes", EFI_SUCCESS );
	add_number ( &nic->line, "address", mode->HwAddressSize );
	add_number ( &nic->line, "header", mode->MediaHeaderSize );
	add_number ( &nic->line, "packet", mode->MaxPacketSize );
	add_number ( &nic->line, "nvram", mode->NvRamSize );
	end ( &nic->line );
	call ( nic, "Mode.filters", EFI_SUCCESS );
	add_number ( &nic->line, "mask", mode->ReceiveFilterMask );
	add_number ( &nic->line, "most", mode->MaxMCastFilterCount );
	end ( &nic->line );
	call ( nic, "Mode.link", EFI_SUCCESS );
	add_number ( &nic->line, "type", mode->IfType );
	add_number ( &nic->line, "changeable", mode->MacAddressChangeable );
	add_number ( &nic->line, "multiple", mode->MultipleTxSupported );
	end ( &nic->line );
	call ( nic, "Mode.media", EFI_SUCCESS );
	add_number ( &nic->line, "detected", mode->MediaPresentSupported );
	add_number ( &nic->line, "present", mode->MediaPresent );
	end ( &nic->line );
	call ( nic, "Mode.permanent", EFI_SUCCESS );
	add_bytes ( &nic->line, "address", mode->PermanentAddress.Addr, 6 );
	end ( &nic->line );
	call ( nic, "Mode.broadcast", EFI_SUCCESS );
	add_bytes ( &nic->line, "address", mode->BroadcastAddress.Addr, 6 );
	end ( &nic->line );
}

static void tell_multicast ( struct nic *nic, const char *name, BOOLEAN ipv6, const UINT8 *address ) {
	EFI_MAC_ADDRESS found;
	fill ( &found, 0, sizeof ( found ) );
	EFI_STATUS status = nic->snp->MCastIpToMac ( nic->snp, ipv6, address, &found );
	call ( nic, name, status );
	add_bytes ( &nic->line, "address", found.Addr, 6 );
	end ( &nic->line );
}

static void tell_address ( struct nic *nic, const char *name, BOOLEAN reset, EFI_MAC_ADDRESS *address ) {
	call ( nic, name, nic->snp->StationAddress ( nic->snp, reset, address ) );
	end ( &nic->line );
}

static void tell_statistics ( struct nic *nic, const char *name, BOOLEAN reset ) {
	UINTN size = sizeof ( nic->statistics );
	fill ( &nic->statistics, 0, size );
	EFI_STATUS status = nic->snp->Statistics ( nic->snp, reset, &size, &nic->statistics );
	call ( nic, name, status );
	if ( status == EFI_SUCCESS && ! reset ) {
		add_number ( &nic->line, "sent", nic->statistics.TxGoodFrames );
		add_number ( &nic->line, "received", nic->statistics.RxGoodFrames );
	}
	end ( &nic->line );
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
	EFI_MAC_ADDRESS other;
	UINT8 data[16];
	set_filters ( nic, "ReceiveFilters.set" );
	tell_filters ( nic, "ReceiveFilters.list", snp->ReceiveFilters ( snp, multicast, 0, 0, 2, nic->others ) );
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
			nic->line.services->Stall ( 1000 );
	}
	call ( nic, "Receive.small", status );
	add_text ( &nic->line, size >= HEADER + 28 ? "size=needed" : "size=other" );
	end ( &nic->line );
	drain ( nic );
	tell_statistics ( nic, "Statistics.read", 0 );
}

/* Another exchange of packets. */
static void again ( struct nic *nic, const char *transmitted, const char *returned, const char *received ) {
	drain ( nic );
	tell ( nic, transmitted, transmit ( nic, HEADER, FRAME ) );
	tell_recycled ( nic, returned );
	tell_reply ( nic, received );
	drain ( nic );
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
	again ( nic, "Transmit.reset", "GetStatus.reset", "Receive.reset" );

	tell_state ( nic, "Shutdown", snp->Shutdown ( snp ) );
	tell ( nic, "Transmit.shutdown", transmit ( nic, HEADER, FRAME ) );
	tell_state ( nic, "Initialize.again", snp->Initialize ( snp, 0, 0 ) );
	set_filters ( nic, "ReceiveFilters.again" );
	again ( nic, "Transmit.again", "GetStatus.again", "Receive.again" );

	tell_state ( nic, "Shutdown.again", snp->Shutdown ( snp ) );
	tell_state ( nic, "Stop", snp->Stop ( snp ) );
	tell_state ( nic, "Stop.again", snp->Stop ( snp ) );
	tell ( nic, "Transmit.end", transmit ( nic, HEADER, FRAME ) );
}

/* The handle of the network interface on the device or below it; 0 where there is none. */
static EFI_HANDLE find_interface ( struct line *line, EFI_HANDLE device ) {
	const EFI_DEVICE_PATH_PROTOCOL *own = device ? protocol ( line, device, &DevicePath ) : 0;
	EFI_HANDLE *handles;
	UINTN count;
	if ( ! own || line->services->LocateHandleBuffer ( ByProtocol, &SimpleNetwork, 0, &count, &handles ) != EFI_SUCCESS )
		return 0;
	for ( UINTN i = 0; i < count; i++ ) {
		const EFI_DEVICE_PATH_PROTOCOL *path = protocol ( line, handles[i], &DevicePath );
		if ( path && begins_with ( path, own ) )
			return handles[i];
	}
	return 0;
}

ENTRY EFI_STATUS EFIAPI efi_main ( EFI_HANDLE image, EFI_SYSTEM_TABLE *system ) {
	struct nic nic;
	struct line *line = &nic.line;
	EFI_STATUS status;
	void *found = 0;

	begin ( line, system, " snp" );
	EFI_HANDLE device = find_device ( line );
	if ( device )
		line->services->ConnectController ( device, 0, 0, 0 );
	tell_rom ( line, device );
	tell_driver ( line, device );
	EFI_HANDLE interface = find_interface ( line, device );
	if ( interface ) {
		/* Takes the interface away from the firmware's own network stack. */
		status = line->services->OpenProtocol ( interface, &SimpleNetwork, &found, image, 0, EFI_OPEN_PROTOCOL_EXCLUSIVE );
		nic.snp = found;
		tell ( &nic, "OpenProtocol", status );
		if ( status == EFI_SUCCESS ) {
			if ( nic.snp->Mode->State == EfiSimpleNetworkInitialized )
				nic.snp->Shutdown ( nic.snp );
			if ( nic.snp->Mode->State == EfiSimpleNetworkStarted )
				nic.snp->Stop ( nic.snp );
			copy ( &nic.address, &nic.snp->Mode->PermanentAddress, sizeof ( nic.address ) );
			for ( int i = 0; i < 2; i++ ) {
				fill ( &nic.others[i], 0, sizeof ( nic.others[i] ) );
				nic.others[i].Addr[0] = 1;
				nic.others[i].Addr[2] = 0x5e;
				nic.others[i].Addr[5] = i + 1;
			}
			drive ( &nic );
		}
	}
	finish ( line );
	return EFI_SUCCESS;
}
