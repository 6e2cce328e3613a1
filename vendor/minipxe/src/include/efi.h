/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of the UEFI Specification that this tree uses. Unused members are void pointers. */
#ifndef EFI_H
#define EFI_H

#include <minipxe.h>

#ifdef __x86_64__
#define EFIAPI __attribute__ (( ms_abi ))
#else
#define EFIAPI
#endif

typedef size_t efi_status;
typedef void *efi_handle;
#define EFI_ERROR( code ) ( ( ( efi_status ) 1 << ( 8 * sizeof ( efi_status ) - 1 ) ) | ( code ) )
#define EFI_INVALID_PARAMETER EFI_ERROR ( 2 )
#define EFI_UNSUPPORTED EFI_ERROR ( 3 )
#define EFI_OUT_OF_RESOURCES EFI_ERROR ( 9 )
#define EFI_NOT_STARTED EFI_ERROR ( 19 )
#define EFI_ABORTED EFI_ERROR ( 21 )

struct efi_guid {
	uint32_t a;
	uint16_t b, c;
	uint8_t d[8];
};

/* A node of a device path; the last one has the type 0x7f and the length 4. */
struct efi_path {
	uint8_t type, subtype, length[2];
};

struct efi_text_output {
	void *reset;
	efi_status ( EFIAPI * output_string ) ( struct efi_text_output *this, const uint16_t *text );
};

struct efi_header {
	uint64_t signature;
	uint32_t revision, size, crc, reserved;
};

struct efi_boot_services {
	struct efi_header header;
	void *tpl_and_memory[7], *events[6];
	efi_status ( EFIAPI * install ) ( efi_handle *handle, const struct efi_guid *protocol, int type, void *interface );
	void *reinstall;
	efi_status ( EFIAPI * uninstall ) ( efi_handle handle, const struct efi_guid *protocol, void *interface );
	efi_status ( EFIAPI * handle_protocol ) ( efi_handle handle, const struct efi_guid *protocol, void **interface );
	void *reserved, *notify;
	efi_status ( EFIAPI * locate_handle ) ( int type, const struct efi_guid *protocol, void *key, size_t *size, efi_handle *handles );
	efi_status ( EFIAPI * locate_path ) ( const struct efi_guid *protocol, struct efi_path **path, efi_handle *handle );
	void *tables, *images[5], *monotonic, *stall, *watchdog, *connect, *disconnect;
	efi_status ( EFIAPI * open_protocol ) ( efi_handle handle, const struct efi_guid *protocol, void **interface,
						efi_handle agent, efi_handle controller, uint32_t attributes );
	efi_status ( EFIAPI * close_protocol ) ( efi_handle handle, const struct efi_guid *protocol, efi_handle agent,
						 efi_handle controller );
	void *information, *protocols_per_handle, *locate_buffer;
	efi_status ( EFIAPI * locate_protocol ) ( const struct efi_guid *protocol, void *registration, void **interface );
};
enum { BY_PROTOCOL = 2 };				/* type of search for locate_handle */
enum { OPEN_GET = 2, OPEN_BY_CHILD = 8, OPEN_BY_DRIVER = 0x10 };	/* attributes of open_protocol */

struct efi_runtime_services {
	struct efi_header header;
	void *time[4], *memory[2];
	efi_status ( EFIAPI * get_variable ) ( const uint16_t *name, const struct efi_guid *vendor, uint32_t *attributes,
					       size_t *size, void *data );
};

struct efi_system_table {
	struct efi_header header;
	const uint16_t *vendor;
	uint32_t revision;
	efi_handle in_handle;
	void *in;
	efi_handle out_handle;
	struct efi_text_output *out;
	efi_handle error_handle;
	void *error;
	struct efi_runtime_services *runtime;
	struct efi_boot_services *boot;
};

struct efi_loaded_image {
	uint32_t revision;
	efi_handle parent;
	struct efi_system_table *system;
	efi_handle device;
	void *path, *reserved;
	uint32_t options_size;
	void *options, *base;
	uint64_t size;
	int code_type, data_type;
	efi_status ( EFIAPI * unload ) ( efi_handle image );
};

struct efi_driver_binding {
	efi_status ( EFIAPI * supported ) ( struct efi_driver_binding *this, efi_handle controller, void *path );
	efi_status ( EFIAPI * start ) ( struct efi_driver_binding *this, efi_handle controller, void *path );
	efi_status ( EFIAPI * stop ) ( struct efi_driver_binding *this, efi_handle controller, size_t count, efi_handle *children );
	uint32_t version;
	efi_handle image, handle;
};

struct efi_serial {
	uint32_t revision;
	void *reset, *set_attributes, *set_control, *get_control;
	efi_status ( EFIAPI * write ) ( struct efi_serial *this, size_t *size, const void *data );
};

struct efi_pci;
typedef efi_status ( EFIAPI * efi_bar_access ) ( struct efi_pci *this, int width, uint8_t bar, uint64_t offset, size_t count,
						  void *data );
struct efi_pci {
	void *poll[2];
	efi_bar_access memory_read, memory_write, io_read, io_write;
	efi_status ( EFIAPI * config_read ) ( struct efi_pci *this, int width, uint32_t offset, size_t count, void *data );
	void *config_write, *copy, *map, *unmap, *allocate, *free, *flush, *location;
	efi_status ( EFIAPI * attributes ) ( struct efi_pci *this, int operation, uint64_t attributes, uint64_t *result );
};

struct efi_mac {
	uint8_t bytes[32];
};
struct efi_simple_network_mode {
	uint32_t state, mac_size, header_size, packet_size, nvram_size, nvram_access, filter_mask, filters, most_multicasts, multicasts;
	struct efi_mac multicast[16], current, broadcast, permanent;
	uint8_t type, mac_changeable, many_transmits, knows_media, has_media;
};
struct efi_simple_network;
typedef efi_status ( EFIAPI * efi_network_call ) ( struct efi_simple_network *this );
struct efi_simple_network {
	uint64_t revision;
	efi_network_call start, stop, initialize, reset, shutdown, filter, address, statistics;
	efi_status ( EFIAPI * multicast ) ( struct efi_simple_network *this, uint8_t ipv6, const void *ip, struct efi_mac *mac );
	efi_network_call nvram, status, transmit, receive;
	void *event;
	struct efi_simple_network_mode *mode;
};

struct efi_network_identifier {
	uint64_t revision, id, image;
	uint32_t image_size;
	char string[4];
	uint8_t type, major, minor, ipv6;
	uint16_t number;
};

struct efi_load_file {
	efi_status ( EFIAPI * load ) ( struct efi_load_file *this, void *path, uint8_t boot, size_t *size, void *buffer );
};

extern const struct efi_guid efi_loaded_image_guid, efi_driver_binding_guid, efi_pci_guid, efi_serial_guid, efi_device_path_guid,
	efi_simple_network_guid, efi_nii31_guid, efi_load_file_guid;
extern struct efi_system_table *efi_system;
extern struct efi_loaded_image *efi_loaded_image;
extern efi_handle efi_image_handle;
extern const uint16_t *efi_cmdline;
extern size_t efi_cmdline_len;

efi_status efi_init ( efi_handle image, struct efi_system_table *system );
efi_status efi_install_driver ( void );

struct efi_snp_device;
struct efi_snp_device *last_opened_snpdev ( void );
int efi_snp_hii_install ( struct efi_snp_device *snpdev, struct net_device *netdev );
void efi_snp_hii_uninstall ( struct efi_snp_device *snpdev );

#endif
