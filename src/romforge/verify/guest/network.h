/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared by the EFI applications that use the EFI_SIMPLE_NETWORK_PROTOCOL of network cards (UEFI Specification, 24.1):
 * lines about calls, bytes, and an exchange of ARP packets with QEMU's user network.
 */
#ifndef NETWORK_H
#define NETWORK_H
#include "device.h"

#define HEADER 14		/* bytes, of an Ethernet frame */
#define FRAME 60		/* bytes, the shortest one */
#define ARP 0x0806
#define POLLS 500		/* of 10 ms each */

static const UINT8 Gateway[4] = { 10, 0, 2, 2 };

/* An interface, and the buffers of its calls. */
struct nic {
	struct line *line;
	EFI_SIMPLE_NETWORK_PROTOCOL *snp;
	EFI_MAC_ADDRESS address;
	UINT8 ip[4];
	char suffix[8];		/* of the names of calls, where several cards make them */
	UINT8 sent[FRAME + 4];
	UINT8 received[2048];
};

/* Lines */

/* Begins the line of a call: its name, and its status with the error bit moved to bit 31. */
static inline void call ( struct nic *nic, const char *name, EFI_STATUS status ) {
	UINT32 code = status & 0x7fffffff;
	if ( status & EFI_ERROR_BIT )
		code |= 0x80000000;
	add_text ( nic->line, "romforge call " );
	add_text ( nic->line, name );
	add_text ( nic->line, nic->suffix );
	add ( nic->line, ' ' );
	add_hex ( nic->line, code );
}

static inline void add_decimal ( struct line *line, UINTN value ) {
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

static inline void add_name_of ( struct line *line, const char *name ) {
	add_text ( line, name );
	add ( line, '=' );
}

static inline void add_number ( struct line *line, const char *name, UINTN value ) {
	add_name_of ( line, name );
	add_decimal ( line, value );
	add ( line, ' ' );
}

static inline void add_bytes ( struct line *line, const char *name, const UINT8 *bytes, UINTN count ) {
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
static inline void tell ( struct nic *nic, const char *name, EFI_STATUS status ) {
	call ( nic, name, status );
	end ( nic->line );
}

/* Prints a call, and the state after it. */
static inline void tell_state ( struct nic *nic, const char *name, EFI_STATUS status ) {
	call ( nic, name, status );
	add_number ( nic->line, "state", nic->snp->Mode->State );
	end ( nic->line );
}

/* Bytes. There is no C library, and compilers call its memcpy where a struct is assigned. */

static inline void fill ( void *to, UINT8 value, UINTN count ) {
	for ( UINTN i = 0; i < count; i++ )
		( ( UINT8 * ) to )[i] = value;
}

static inline void copy ( void *to, const void *from, UINTN count ) {
	for ( UINTN i = 0; i < count; i++ )
		( ( UINT8 * ) to )[i] = ( ( const UINT8 * ) from )[i];
}

static inline int equal ( const void *one, const void *other, UINTN count ) {
	for ( UINTN i = 0; i < count; i++ ) {
		if ( ( ( const UINT8 * ) one )[i] != ( ( const UINT8 * ) other )[i] )
			return 0;
	}
	return 1;
}

/* Calls that need more than one line of code */

/* Makes an ARP request for the gateway, after space for the Ethernet header. */
static inline void make_request ( struct nic *nic ) {
	static const UINT8 fixed[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };	/* Ethernet, IPv4, a request */
	UINT8 *arp = nic->sent + HEADER;
	fill ( nic->sent, 0, sizeof ( nic->sent ) );
	copy ( arp, fixed, sizeof ( fixed ) );
	copy ( arp + 8, nic->address.Addr, 6 );
	copy ( arp + 14, nic->ip, 4 );
	copy ( arp + 24, Gateway, 4 );
}

/* Broadcasts the request; the driver makes the Ethernet header. */
static inline EFI_STATUS transmit ( struct nic *nic, UINTN header, UINTN size ) {
	UINT16 protocol = ARP;
	make_request ( nic );
	return nic->snp->Transmit ( nic->snp, header, size, nic->sent, 0, &nic->snp->Mode->BroadcastAddress, &protocol );
}

static inline EFI_STATUS receive ( struct nic *nic, UINTN *size ) {
	UINTN header = 0;
	UINT16 protocol = 0;
	EFI_MAC_ADDRESS from, to;
	return nic->snp->Receive ( nic->snp, &header, size, nic->received, &from, &to, &protocol );
}

/* Receives until there are no more frames. Returns the status of the last call. */
static inline EFI_STATUS drain ( struct nic *nic ) {
	EFI_STATUS status = EFI_SUCCESS;
	for ( int i = 0; i < 100 && status != EFI_NOT_READY; i++ ) {
		UINTN size = sizeof ( nic->received );
		status = receive ( nic, &size );
	}
	return status;
}

/* Waits until the driver returns a buffer, which is 0 if it does not. Returns the status of the last call. */
static inline EFI_STATUS await_recycled ( struct nic *nic, void **buffer ) {
	EFI_STATUS status = EFI_SUCCESS;
	*buffer = 0;
	for ( int i = 0; i < POLLS && status == EFI_SUCCESS && ! *buffer; i++ ) {
		UINT32 interrupts = 0;
		status = nic->snp->GetStatus ( nic->snp, &interrupts, buffer );
		if ( ! *buffer )
			rest ( nic->line );
	}
	return status;
}

/* Waits until the driver returns the buffer of the sent frame, and prints whether it did. */
static inline void tell_recycled ( struct nic *nic, const char *name ) {
	void *buffer;
	call ( nic, name, await_recycled ( nic, &buffer ) );
	add_text ( nic->line, "buffer=" );
	add_text ( nic->line, buffer == nic->sent ? "returned" : buffer ? "other" : "kept" );
	end ( nic->line );
}

/* What Receive returned for the gateway's reply. */
struct reply {
	EFI_STATUS status;
	EFI_MAC_ADDRESS from, to;
	UINTN header;
	int found;
};

/*
 * Waits for the gateway's reply, and returns whether it came. Other frames are ignored: a card may be promiscuous, and
 * receive what is for another one.
 */
static inline int await_reply ( struct nic *nic, struct reply *reply ) {
	const UINT8 *arp = nic->received + HEADER;
	UINT16 protocol = 0;
	reply->status = EFI_NOT_READY;
	reply->found = 0;
	for ( int i = 0; i < POLLS && ! reply->found; i++ ) {
		UINTN size = sizeof ( nic->received );
		fill ( nic->received, 0, FRAME );
		reply->header = 0;
		reply->status = nic->snp->Receive ( nic->snp, &reply->header, &size, nic->received, &reply->from, &reply->to,
				&protocol );
		if ( reply->status == EFI_NOT_READY )
			rest ( nic->line );
		else if ( reply->status != EFI_SUCCESS )
			break;
		else
			reply->found = size >= HEADER + 28 && protocol == ARP && arp[7] == 2 &&
				equal ( arp + 14, Gateway, 4 ) && equal ( arp + 24, nic->ip, 4 );
	}
	return reply->found;
}

/* Adds the result of Receive and the content of the reply. */
static inline void add_reply ( struct nic *nic, const char *name, const struct reply *reply ) {
	const UINT8 *arp = nic->received + HEADER;
	call ( nic, name, reply->status );
	if ( reply->found ) {
		int right = reply->header == HEADER && equal ( reply->from.Addr, arp + 8, 6 ) &&
			equal ( reply->to.Addr, nic->address.Addr, 6 ) && equal ( arp + 18, nic->address.Addr, 6 );
		add_bytes ( nic->line, "sender", arp + 8, 6 );
		add_text ( nic->line, right ? "fields=right" : "fields=wrong" );
	} else {
		add_text ( nic->line, "no reply" );
	}
}

static inline void tell_reply ( struct nic *nic, const char *name ) {
	struct reply reply;
	await_reply ( nic, &reply );
	add_reply ( nic, name, &reply );
	end ( nic->line );
}

static inline void tell_filters ( struct nic *nic, const char *name, EFI_STATUS status ) {
	call ( nic, name, status );
	add_number ( nic->line, "setting", nic->snp->Mode->ReceiveFilterSetting );
	add_number ( nic->line, "list", nic->snp->Mode->MCastFilterCount );
	end ( nic->line );
}

static inline void set_filters ( struct nic *nic, const char *name ) {
	UINT32 enable = EFI_SIMPLE_NETWORK_RECEIVE_UNICAST | EFI_SIMPLE_NETWORK_RECEIVE_BROADCAST;
	tell_filters ( nic, name, nic->snp->ReceiveFilters ( nic->snp, enable, 0, 0, 0, 0 ) );
}

/* Another exchange of packets. */
static inline void exchange ( struct nic *nic, const char *transmitted, const char *returned, const char *received ) {
	drain ( nic );
	tell ( nic, transmitted, transmit ( nic, HEADER, FRAME ) );
	tell_recycled ( nic, returned );
	tell_reply ( nic, received );
	drain ( nic );
}

/* The handle of the network interface on the device or below it; 0 where there is none. */
static inline EFI_HANDLE find_interface ( struct line *line, EFI_HANDLE device ) {
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

/* Begins with an interface that has the address 10.0.2.HOST. */
static inline void prepare ( struct nic *nic, struct line *line, UINT8 host ) {
	fill ( nic, 0, sizeof ( *nic ) );
	nic->line = line;
	copy ( nic->ip, Gateway, 3 );
	nic->ip[3] = host;
}

/* Takes an interface away from the firmware's own network stack, and stops it. */
static inline EFI_STATUS take ( struct nic *nic, EFI_HANDLE image, EFI_HANDLE interface ) {
	void *found = 0;
	EFI_STATUS status = nic->line->services->OpenProtocol ( interface, &SimpleNetwork, &found, image, 0,
			EFI_OPEN_PROTOCOL_EXCLUSIVE );
	tell ( nic, "OpenProtocol", status );
	if ( status != EFI_SUCCESS )
		return status;
	nic->snp = found;
	if ( nic->snp->Mode->State == EfiSimpleNetworkInitialized )
		nic->snp->Shutdown ( nic->snp );
	if ( nic->snp->Mode->State == EfiSimpleNetworkStarted )
		nic->snp->Stop ( nic->snp );
	copy ( &nic->address, &nic->snp->Mode->PermanentAddress, sizeof ( nic->address ) );
	return status;
}

/* Starts an interface that was taken, and receives. */
static inline void start ( struct nic *nic ) {
	tell_state ( nic, "Start", nic->snp->Start ( nic->snp ) );
	tell_state ( nic, "Initialize", nic->snp->Initialize ( nic->snp, 0, 0 ) );
	set_filters ( nic, "ReceiveFilters" );
}

static inline void stop ( struct nic *nic ) {
	tell_state ( nic, "Shutdown", nic->snp->Shutdown ( nic->snp ) );
	tell_state ( nic, "Stop", nic->snp->Stop ( nic->snp ) );
}

/* Cards */

/* The place of a network card: its bus, device and function, as PCI writes them into 16 bits. -1 for another device. */
static inline UINTN place_of ( struct line *line, EFI_HANDLE handle ) {
	EFI_PCI_IO_PROTOCOL *pci = protocol ( line, handle, &PciIo );
	UINTN segment, bus, device, function;
	UINT32 class = 0;
	if ( ! pci || pci->GetLocation ( pci, &segment, &bus, &device, &function ) != EFI_SUCCESS )
		return -1;
	pci->Pci.Read ( pci, EfiPciIoWidthUint32, PCI_REVISION_AND_CLASS, 1, &class );
	return class >> 24 == PCI_CLASS_NETWORK ? bus << 8 | device << 3 | function : ( UINTN ) -1;
}

/* Finds up to ``most`` network cards, in the order of their places. Returns their number. */
static inline UINTN find_cards ( struct line *line, EFI_HANDLE *cards, UINTN most ) {
	EFI_HANDLE *handles;
	UINTN count, found = 0;
	if ( line->services->LocateHandleBuffer ( ByProtocol, &PciIo, 0, &count, &handles ) != EFI_SUCCESS )
		return 0;
	for ( UINTN i = 0; i < count && found < most; i++ ) {
		UINTN place = place_of ( line, handles[i] ), at = found;
		if ( place == ( UINTN ) -1 )
			continue;
		for ( ; at && place_of ( line, cards[at - 1] ) > place; at-- )
			cards[at] = cards[at - 1];
		cards[at] = handles[i];
		found++;
	}
	return found;
}

/* Whether the driver of a card was loaded from the card's own option ROM, by the device path of its image. */
static inline int has_own_driver ( struct line *line, EFI_HANDLE card ) {
	EFI_HANDLE driver = find_driver ( line, card );
	EFI_DRIVER_BINDING_PROTOCOL *binding = driver ? protocol ( line, driver, &DriverBinding ) : 0;
	const EFI_DEVICE_PATH_PROTOCOL *image = binding ? protocol ( line, binding->ImageHandle, &LoadedImageDevicePath ) : 0;
	const EFI_DEVICE_PATH_PROTOCOL *own = protocol ( line, card, &DevicePath );
	return image && own && begins_with ( image, own );
}

/* Prints where a card is, whose driver it has, its option ROM, and its driver. */
static inline void tell_card ( struct line *line, EFI_HANDLE card ) {
	add_text ( line, "romforge nic " );
	add_hex ( line, place_of ( line, card ) );
	add_text ( line, has_own_driver ( line, card ) ? "own" : "other" );
	end ( line );
	tell_rom ( line, card );
	tell_driver ( line, card );
}

#endif
