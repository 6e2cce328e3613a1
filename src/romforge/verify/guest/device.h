/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared by our EFI applications: lines of the console, PCI device 00:03.0 and its driver. Nothing relocates an
 * application, so there are no variables and no tables of pointers.
 */
#ifndef DEVICE_H
#define DEVICE_H
#pragma GCC visibility push ( hidden )
#include "uefi.h"

#define NAME_MAX 30
#define LINE_MAX 78

extern const char nonce[];

static const EFI_GUID DevicePath = EFI_DEVICE_PATH_PROTOCOL_GUID;
static const EFI_GUID SimpleNetwork = EFI_SIMPLE_NETWORK_PROTOCOL_GUID;
static const EFI_GUID PciIo = EFI_PCI_IO_PROTOCOL_GUID;
static const EFI_GUID DriverBinding = EFI_DRIVER_BINDING_PROTOCOL_GUID;
static const EFI_GUID LoadedImage = EFI_LOADED_IMAGE_PROTOCOL_GUID;
static const EFI_GUID LoadedImageDevicePath = EFI_LOADED_IMAGE_DEVICE_PATH_PROTOCOL_GUID;
static const EFI_GUID ComponentName = EFI_COMPONENT_NAME_PROTOCOL_GUID;
static const EFI_GUID ComponentName2 = EFI_COMPONENT_NAME2_PROTOCOL_GUID;

/* A line of the console, and the tables of UEFI that every function needs. */
struct line {
	EFI_SYSTEM_TABLE *system;
	EFI_BOOT_SERVICES *services;
	UINTN used;
	CHAR16 text[LINE_MAX + 3];
};

static inline void add ( struct line *line, CHAR16 character ) {
	if ( line->used < LINE_MAX )
		line->text[line->used++] = ( character >= ' ' && character <= '~' ) ? character : '?';
}

static inline void add_text ( struct line *line, const char *text ) {
	while ( *text )
		add ( line, *text++ );
}

static inline void add_hex ( struct line *line, UINT32 value ) {
	for ( int shift = 28; shift >= 0; shift -= 4 ) {
		unsigned int digit = ( value >> shift ) & 0xf;
		add ( line, digit < 10 ? '0' + digit : 'a' + digit - 10 );
	}
	add ( line, ' ' );
}

/* Writes the line without trailing blanks, and begins a new one. */
static inline void end ( struct line *line ) {
	while ( line->used && line->text[line->used - 1] == ' ' )
		line->used--;
	line->text[line->used] = '\r';
	line->text[line->used + 1] = '\n';
	line->text[line->used + 2] = 0;
	line->system->ConOut->OutputString ( line->system->ConOut, line->text );
	line->used = 0;
}

/*
 * Waits 10 ms. Unlike Stall, WaitForEvent halts the processor, so a clock that skips waiting goes on at once. Without a
 * timer, stalls.
 */
static inline void rest ( struct line *line ) {
	EFI_EVENT timer;
	UINTN index;
	if ( line->services->CreateEvent ( EVT_TIMER, 0, 0, 0, &timer ) != EFI_SUCCESS ) {
		line->services->Stall ( 10000 );
		return;
	}
	line->services->SetTimer ( timer, TimerRelative, 100000 );
	line->services->WaitForEvent ( 1, &timer, &index );
	line->services->CloseEvent ( timer );
}

/* A protocol of a handle; 0 where the handle does not have it. */
static inline void *protocol ( struct line *line, EFI_HANDLE handle, const EFI_GUID *guid ) {
	void *found = 0;
	return line->services->HandleProtocol ( handle, guid, &found ) == EFI_SUCCESS ? found : 0;
}

static inline UINTN length_of ( const EFI_DEVICE_PATH_PROTOCOL *node ) {
	return node->Length[0] | node->Length[1] << 8;
}

static inline int is_end ( const EFI_DEVICE_PATH_PROTOCOL *node ) {
	return node->Type == END_DEVICE_PATH_TYPE || length_of ( node ) < sizeof ( *node );
}

/* Whether a device path begins with all nodes of another path. */
static inline int begins_with ( const EFI_DEVICE_PATH_PROTOCOL *path, const EFI_DEVICE_PATH_PROTOCOL *with ) {
	while ( ! is_end ( with ) ) {
		UINTN length = length_of ( with );
		if ( length_of ( path ) != length )
			return 0;
		for ( UINTN i = 0; i < length; i++ ) {
			if ( ( ( const UINT8 * ) path )[i] != ( ( const UINT8 * ) with )[i] )
				return 0;
		}
		path = ( const EFI_DEVICE_PATH_PROTOCOL * ) ( ( const UINT8 * ) path + length );
		with = ( const EFI_DEVICE_PATH_PROTOCOL * ) ( ( const UINT8 * ) with + length );
	}
	return 1;
}

/* The CRC-32 of a part of the option ROM; 0 where the ROM does not have it. */
static inline UINT32 rom_crc ( struct line *line, EFI_PCI_IO_PROTOCOL *pci, UINT64 start, UINT64 stop ) {
	UINT32 crc = 0;
	if ( pci->RomImage && start < stop && stop <= pci->RomSize )
		line->services->CalculateCrc32 ( ( const char * ) pci->RomImage + start, stop - start, &crc );
	return crc;
}

/* The handle of 00:03.0; 0 where there is no such device. */
static inline EFI_HANDLE find_device ( struct line *line ) {
	EFI_HANDLE *handles;
	UINTN count;
	if ( line->services->LocateHandleBuffer ( ByProtocol, &PciIo, 0, &count, &handles ) != EFI_SUCCESS )
		return 0;
	for ( UINTN i = 0; i < count; i++ ) {
		EFI_PCI_IO_PROTOCOL *pci = protocol ( line, handles[i], &PciIo );
		UINTN segment, bus, device, function;
		if ( pci && pci->GetLocation ( pci, &segment, &bus, &device, &function ) == EFI_SUCCESS &&
				! segment && ! bus && device == 3 && ! function )
			return handles[i];
	}
	return 0;
}

/* The handle of the driver that is bound to the device: at most one, by the rules of UEFI. 0 where there is none. */
static inline EFI_HANDLE find_driver ( struct line *line, EFI_HANDLE device ) {
	EFI_OPEN_PROTOCOL_INFORMATION_ENTRY *entries;
	UINTN count;
	if ( line->services->OpenProtocolInformation ( device, &PciIo, &entries, &count ) != EFI_SUCCESS )
		return 0;
	for ( UINTN i = 0; i < count; i++ ) {
		if ( entries[i].Attributes & EFI_OPEN_PROTOCOL_BY_DRIVER )
			return entries[i].AgentHandle;
	}
	return 0;
}

/* The part of an option ROM that the driver was loaded from; 0 where it came from elsewhere. */
static const MEDIA_RELATIVE_OFFSET_RANGE_DEVICE_PATH *find_range ( struct line *line, EFI_HANDLE driver ) {
	EFI_DRIVER_BINDING_PROTOCOL *binding = protocol ( line, driver, &DriverBinding );
	EFI_LOADED_IMAGE_PROTOCOL *image = binding ? protocol ( line, binding->ImageHandle, &LoadedImage ) : 0;
	const EFI_DEVICE_PATH_PROTOCOL *node = image ? image->FilePath : 0;
	while ( node && ! is_end ( node ) ) {
		if ( node->Type == MEDIA_DEVICE_PATH && node->SubType == MEDIA_RELATIVE_OFFSET_RANGE_DP )
			return ( const MEDIA_RELATIVE_OFFSET_RANGE_DEVICE_PATH * ) node;
		node = ( const EFI_DEVICE_PATH_PROTOCOL * ) ( ( const char * ) node + length_of ( node ) );
	}
	return 0;
}

static inline void add_name ( struct line *line, EFI_HANDLE driver ) {
	EFI_COMPONENT_NAME2_PROTOCOL *named2 = protocol ( line, driver, &ComponentName2 );
	EFI_COMPONENT_NAME2_PROTOCOL *named = protocol ( line, driver, &ComponentName );
	CHAR16 *name = 0;
	if ( ( ! named2 || named2->GetDriverName ( named2, "en", &name ) != EFI_SUCCESS ) &&
			( ! named2 || named2->GetDriverName ( named2, "en-US", &name ) != EFI_SUCCESS ) &&
			( ! named || named->GetDriverName ( named, "eng", &name ) != EFI_SUCCESS ) )
		name = 0;
	if ( ! name || ! *name )
		add ( line, '-' );
	for ( int i = 0; name && name[i] && i < NAME_MAX; i++ )
		add ( line, name[i] );
}

static inline void tell_driver ( struct line *line, EFI_HANDLE device ) {
	EFI_HANDLE driver = device ? find_driver ( line, device ) : 0;
	add_text ( line, "romforge driver " );
	if ( driver ) {
		const MEDIA_RELATIVE_OFFSET_RANGE_DEVICE_PATH *range = find_range ( line, driver );
		add_text ( line, range ? "rom " : "built-in " );
		if ( range ) {
			add_hex ( line, range->StartingOffset );
			add_hex ( line, range->EndingOffset );
			add_hex ( line, rom_crc ( line, protocol ( line, device, &PciIo ), range->StartingOffset, range->EndingOffset + 1 ) );
		}
		add_name ( line, driver );
	} else {
		add_text ( line, "none" );
	}
	end ( line );
}

static inline void tell_rom ( struct line *line, EFI_HANDLE device ) {
	EFI_PCI_IO_PROTOCOL *pci = device ? protocol ( line, device, &PciIo ) : 0;
	add_text ( line, "romforge rom " );
	add_hex ( line, pci ? pci->RomSize : 0 );
	add_hex ( line, pci ? rom_crc ( line, pci, 0, pci->RomSize ) : 0 );
	end ( line );
}

/* Ends QEMU; with isa-debug-exit its exit status is 33, which shows that the program ended it. */
static inline void end_qemu ( EFI_SYSTEM_TABLE *system ) {
#if defined ( __x86_64__ ) || defined ( __i386__ )
	__asm__ volatile ( "outl %0, $0xf4" : : "a" ( 0x10 ) );
#endif
	system->RuntimeServices->ResetSystem ( EfiResetShutdown, EFI_SUCCESS, 0, 0 );
}

/* Begins a report. Its first line has the nonce of this run and the name of the program. */
static inline void begin ( struct line *line, EFI_SYSTEM_TABLE *system, const char *program ) {
	line->system = system;
	line->services = system->BootServices;
	line->used = 0;
	/* The firmware ends a program after five minutes, which pass quickly where the clock skips waiting. */
	line->services->SetWatchdogTimer ( 0, 0, 0, 0 );
	end ( line );
	add_text ( line, "romforge " );
	add_text ( line, nonce );
	add_text ( line, program );
	end ( line );
}

/* Ends a report and QEMU. */
static inline void finish ( struct line *line ) {
	add_text ( line, "romforge end" );
	end ( line );
	end_qemu ( line->system );
}

#define ENTRY __attribute__ (( section ( ".text.entry" ) ))

#endif
