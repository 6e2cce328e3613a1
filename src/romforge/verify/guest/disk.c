/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The EFI application that is booted from a disk after a network boot failed. It reports how far the firmware prepared
 * PCI device 00:03.0 for a network boot. It connects the device's drivers first: firmware may not have done so.
 */
#include "device.h"

static const EFI_GUID LoadedImageDevicePath = EFI_LOADED_IMAGE_DEVICE_PATH_PROTOCOL_GUID;
static const EFI_GUID NetworkInterfaceIdentifier = EFI_NETWORK_INTERFACE_IDENTIFIER_PROTOCOL_GUID_31;
static const EFI_GUID ManagedNetwork = EFI_MANAGED_NETWORK_SERVICE_BINDING_PROTOCOL_GUID;
static const EFI_GUID PxeBaseCode = EFI_PXE_BASE_CODE_PROTOCOL_GUID;
static const EFI_GUID LoadFile = EFI_LOAD_FILE_PROTOCOL_GUID;
static const EFI_GUID Rng = EFI_RNG_PROTOCOL_GUID;

/*
 * The number of handles on the device or below it that have a protocol. ``paths`` is the protocol that has the handles'
 * device paths.
 */
static UINTN count_below ( struct line *line, EFI_HANDLE device, const EFI_GUID *guid, const EFI_GUID *paths ) {
	const EFI_DEVICE_PATH_PROTOCOL *own = device ? protocol ( line, device, &DevicePath ) : 0;
	EFI_HANDLE *handles;
	UINTN count, found = 0;
	if ( ! own || line->services->LocateHandleBuffer ( ByProtocol, guid, 0, &count, &handles ) != EFI_SUCCESS )
		return 0;
	for ( UINTN i = 0; i < count; i++ ) {
		const EFI_DEVICE_PATH_PROTOCOL *path = protocol ( line, handles[i], paths );
		if ( path && begins_with ( path, own ) )
			found++;
	}
	return found;
}

/* An imaginary network interface. All its functions are null pointers, so no driver must be started on it. */
struct interface {
	EFI_SIMPLE_NETWORK_PROTOCOL network;
	EFI_SIMPLE_NETWORK_MODE mode;
	struct {
		MAC_ADDR_DEVICE_PATH address;
		EFI_DEVICE_PATH_PROTOCOL end;
	} path;
};

static inline void clear ( void *data, UINTN size ) {
	volatile UINT8 *bytes = data;
	while ( size-- )
		*bytes++ = 0;
}

/*
 * The number of drivers, other than those of option ROMs, that support any network interface: the lowest of a network
 * stack. They are asked about an imaginary interface, so that the answer does not depend on the driver under test.
 * Supported() of a driver changes nothing (UEFI Specification, 11.1).
 */
static UINTN count_stack ( struct line *line, struct interface *interface ) {
	EFI_HANDLE *handles, handle = 0;
	UINTN count, found = 0;
	clear ( interface, sizeof ( *interface ) );
	interface->network.Revision = EFI_SIMPLE_NETWORK_PROTOCOL_REVISION;
	interface->network.Mode = &interface->mode;
	interface->mode.HwAddressSize = 6;
	interface->mode.MediaHeaderSize = 14;
	interface->mode.MaxPacketSize = 1500;
	interface->mode.IfType = 1;
	interface->path.address.Header.Type = MESSAGING_DEVICE_PATH;
	interface->path.address.Header.SubType = MSG_MAC_ADDR_DP;
	interface->path.address.Header.Length[0] = sizeof ( interface->path.address );
	interface->path.address.IfType = 1;
	interface->path.end.Type = END_DEVICE_PATH_TYPE;
	interface->path.end.SubType = 0xff;
	interface->path.end.Length[0] = sizeof ( interface->path.end );
	if ( line->services->InstallProtocolInterface ( &handle, &DevicePath, EFI_NATIVE_INTERFACE, &interface->path ) != EFI_SUCCESS ||
			line->services->InstallProtocolInterface ( &handle, &SimpleNetwork, EFI_NATIVE_INTERFACE, &interface->network ) != EFI_SUCCESS ||
			line->services->LocateHandleBuffer ( ByProtocol, &DriverBinding, 0, &count, &handles ) != EFI_SUCCESS )
		return 99;
	for ( UINTN i = 0; i < count; i++ ) {
		EFI_DRIVER_BINDING_PROTOCOL *binding = protocol ( line, handles[i], &DriverBinding );
		if ( binding && ! find_range ( line, handles[i] ) && binding->Supported ( binding, handle, 0 ) == EFI_SUCCESS )
			found++;
	}
	return found;
}

static void add_count ( struct line *line, const char *name, UINTN count ) {
	if ( count > 99 )
		count = 99;
	add ( line, ' ' );
	add_text ( line, name );
	add ( line, '=' );
	add ( line, '0' + count / 10 );
	add ( line, '0' + count % 10 );
}

static void tell_interfaces ( struct line *line, EFI_HANDLE device, struct interface *interface ) {
	EFI_HANDLE *handles;
	UINTN count;
	if ( line->services->LocateHandleBuffer ( ByProtocol, &Rng, 0, &count, &handles ) != EFI_SUCCESS )
		count = 0;
	add_text ( line, "romforge interfaces" );
	add_count ( line, "images", count_below ( line, device, &LoadedImage, &LoadedImageDevicePath ) );
	add_count ( line, "snp", count_below ( line, device, &SimpleNetwork, &DevicePath ) );
	add_count ( line, "nii", count_below ( line, device, &NetworkInterfaceIdentifier, &DevicePath ) );
	add_count ( line, "mnp", count_below ( line, device, &ManagedNetwork, &DevicePath ) );
	add_count ( line, "pxe", count_below ( line, device, &PxeBaseCode, &DevicePath ) );
	add_count ( line, "loadfile", count_below ( line, device, &LoadFile, &DevicePath ) );
	end ( line );
	add_text ( line, "romforge firmware" );
	add_count ( line, "rng", count );
	add_count ( line, "stack", count_stack ( line, interface ) );
	end ( line );
}

ENTRY EFI_STATUS EFIAPI efi_main ( EFI_HANDLE image, EFI_SYSTEM_TABLE *system ) {
	struct line line;
	struct interface interface;
	( void ) image;

	begin ( &line, system, " disk" );
	EFI_HANDLE device = find_device ( &line );
	if ( device )
		line.services->ConnectController ( device, 0, 0, 1 );
	tell_rom ( &line, device );
	tell_driver ( &line, device );
	tell_interfaces ( &line, device, &interface );
	finish ( &line );
	return EFI_SUCCESS;
}
