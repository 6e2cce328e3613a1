/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What efi.c needs of UEFI, under the names of the UEFI Specification. What is only passed by, in a table of
 * functions, is an array of pointers.
 */
#ifndef UEFI_H
#define UEFI_H

typedef __UINT8_TYPE__ UINT8;
typedef __UINT16_TYPE__ UINT16;
typedef __UINT32_TYPE__ UINT32;
typedef __UINT64_TYPE__ UINT64;
typedef __UINTPTR_TYPE__ UINTN;
typedef UINT8 BOOLEAN;
typedef char CHAR8;
typedef UINT16 CHAR16;
typedef UINTN EFI_STATUS;
typedef void *EFI_HANDLE;

#ifdef __x86_64__
#define EFIAPI __attribute__ (( ms_abi ))
#else
#define EFIAPI
#endif

#define EFI_SUCCESS 0
#define EFI_OPEN_PROTOCOL_BY_DRIVER 0x10

typedef struct {
	UINT32 Data1;
	UINT16 Data2, Data3;
	UINT8 Data4[8];
} EFI_GUID;

#define EFI_PCI_IO_PROTOCOL_GUID { 0x4cf5b200, 0x68b8, 0x4ca5, { 0x9e, 0xec, 0xb2, 0x3e, 0x3f, 0x50, 0x02, 0x9a } }
#define EFI_DRIVER_BINDING_PROTOCOL_GUID { 0x18a031ab, 0xb443, 0x4d1a, { 0xa5, 0xc0, 0x0c, 0x09, 0x26, 0x1e, 0x9f, 0x71 } }
#define EFI_LOADED_IMAGE_PROTOCOL_GUID { 0x5b1b31a1, 0x9562, 0x11d2, { 0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b } }
#define EFI_COMPONENT_NAME_PROTOCOL_GUID { 0x107a772c, 0xd5e1, 0x11d4, { 0x9a, 0x46, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d } }
#define EFI_COMPONENT_NAME2_PROTOCOL_GUID { 0x6a7a5cff, 0xe8d9, 0x4f70, { 0xba, 0xda, 0x75, 0xab, 0x30, 0x25, 0xce, 0x14 } }

typedef struct {
	UINT64 Signature;
	UINT32 Revision, HeaderSize, CRC32, Reserved;
} EFI_TABLE_HEADER;

typedef struct EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL;
struct EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL {
	void *Reset;
	EFI_STATUS ( EFIAPI *OutputString ) ( EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL *This, const CHAR16 *String );
};

typedef enum { EfiResetCold, EfiResetWarm, EfiResetShutdown } EFI_RESET_TYPE;

typedef struct {
	EFI_TABLE_HEADER Hdr;
	void *GetTimeToGetNextHighMonotonicCount[10];
	void ( EFIAPI *ResetSystem ) ( EFI_RESET_TYPE ResetType, EFI_STATUS ResetStatus, UINTN DataSize, void *ResetData );
} EFI_RUNTIME_SERVICES;

typedef enum { AllHandles, ByRegisterNotify, ByProtocol } EFI_LOCATE_SEARCH_TYPE;

typedef struct {
	EFI_HANDLE AgentHandle, ControllerHandle;
	UINT32 Attributes, OpenCount;
} EFI_OPEN_PROTOCOL_INFORMATION_ENTRY;

typedef struct {
	EFI_TABLE_HEADER Hdr;
	void *RaiseTPLToUninstallProtocolInterface[16];
	EFI_STATUS ( EFIAPI *HandleProtocol ) ( EFI_HANDLE Handle, const EFI_GUID *Protocol, void **Interface );
	void *ReservedToDisconnectController[15];
	void *OpenProtocol, *CloseProtocol;
	EFI_STATUS ( EFIAPI *OpenProtocolInformation ) ( EFI_HANDLE Handle, const EFI_GUID *Protocol,
			EFI_OPEN_PROTOCOL_INFORMATION_ENTRY **EntryBuffer, UINTN *EntryCount );
	void *ProtocolsPerHandle;
	EFI_STATUS ( EFIAPI *LocateHandleBuffer ) ( EFI_LOCATE_SEARCH_TYPE SearchType, const EFI_GUID *Protocol,
			void *SearchKey, UINTN *NoHandles, EFI_HANDLE **Buffer );
	void *LocateProtocolToUninstallMultipleProtocolInterfaces[3];
	EFI_STATUS ( EFIAPI *CalculateCrc32 ) ( const void *Data, UINTN DataSize, UINT32 *Crc32 );
} EFI_BOOT_SERVICES;

typedef struct {
	EFI_TABLE_HEADER Hdr;
	CHAR16 *FirmwareVendor;
	UINT32 FirmwareRevision;
	EFI_HANDLE ConsoleInHandle;
	void *ConIn;
	EFI_HANDLE ConsoleOutHandle;
	EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL *ConOut;
	EFI_HANDLE StandardErrorHandle;
	EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL *StdErr;
	EFI_RUNTIME_SERVICES *RuntimeServices;
	EFI_BOOT_SERVICES *BootServices;
} EFI_SYSTEM_TABLE;

#define MEDIA_DEVICE_PATH 4
#define MEDIA_RELATIVE_OFFSET_RANGE_DP 8
#define END_DEVICE_PATH_TYPE 0x7f

typedef struct {
	UINT8 Type, SubType, Length[2];
} EFI_DEVICE_PATH_PROTOCOL;

typedef struct {
	EFI_DEVICE_PATH_PROTOCOL Header;
	UINT32 Reserved;
	UINT64 StartingOffset, EndingOffset;
} __attribute__ (( packed )) MEDIA_RELATIVE_OFFSET_RANGE_DEVICE_PATH;

typedef struct {
	UINT32 Revision;
	EFI_HANDLE ParentHandle;
	EFI_SYSTEM_TABLE *SystemTable;
	EFI_HANDLE DeviceHandle;
	EFI_DEVICE_PATH_PROTOCOL *FilePath;
} EFI_LOADED_IMAGE_PROTOCOL;

typedef struct {
	void *Supported, *Start, *Stop;
	UINT32 Version;
	EFI_HANDLE ImageHandle, DriverBindingHandle;
} EFI_DRIVER_BINDING_PROTOCOL;

/* EFI_COMPONENT_NAME_PROTOCOL too, but for what a language is called. */
typedef struct EFI_COMPONENT_NAME2_PROTOCOL EFI_COMPONENT_NAME2_PROTOCOL;
struct EFI_COMPONENT_NAME2_PROTOCOL {
	EFI_STATUS ( EFIAPI *GetDriverName ) ( EFI_COMPONENT_NAME2_PROTOCOL *This, const CHAR8 *Language, CHAR16 **DriverName );
};

typedef struct EFI_PCI_IO_PROTOCOL EFI_PCI_IO_PROTOCOL;
struct EFI_PCI_IO_PROTOCOL {
	void *PollMemToFlush[14];
	EFI_STATUS ( EFIAPI *GetLocation ) ( EFI_PCI_IO_PROTOCOL *This, UINTN *SegmentNumber, UINTN *BusNumber,
			UINTN *DeviceNumber, UINTN *FunctionNumber );
	void *Attributes, *GetBarAttributes, *SetBarAttributes;
	UINT64 RomSize;
	void *RomImage;
};

#endif
