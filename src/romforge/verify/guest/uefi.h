/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of UEFI that our EFI applications use, under the names of the UEFI Specification. Functions of a table that
 * are never called are an array of pointers.
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
typedef void *EFI_EVENT;

#ifdef __x86_64__
#define EFIAPI __attribute__ (( ms_abi ))
#else
#define EFIAPI
#endif

#define EFI_SUCCESS 0
#define EFI_ERROR_BIT ( ~ ( ( ( UINTN ) -1 ) >> 1 ) )
#define EFI_NOT_READY ( EFI_ERROR_BIT | 6 )
#define EFI_SIMPLE_NETWORK_PROTOCOL_REVISION 0x00010000
#define EFI_OPEN_PROTOCOL_BY_DRIVER 0x10
#define EFI_OPEN_PROTOCOL_EXCLUSIVE 0x20

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
#define EFI_DEVICE_PATH_PROTOCOL_GUID \
	{ 0x09576e91, 0x6d3f, 0x11d2, { 0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b } }
#define EFI_LOADED_IMAGE_DEVICE_PATH_PROTOCOL_GUID \
	{ 0xbc62157e, 0x3e33, 0x4fec, { 0x99, 0x20, 0x2d, 0x3b, 0x36, 0xd7, 0x50, 0xdf } }
#define EFI_SIMPLE_NETWORK_PROTOCOL_GUID \
	{ 0xa19832b9, 0xac25, 0x11d3, { 0x9a, 0x2d, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d } }
#define EFI_NETWORK_INTERFACE_IDENTIFIER_PROTOCOL_GUID_31 \
	{ 0x1aced566, 0x76ed, 0x4218, { 0xbc, 0x81, 0x76, 0x7f, 0x1f, 0x97, 0x7a, 0x89 } }
#define EFI_MANAGED_NETWORK_SERVICE_BINDING_PROTOCOL_GUID \
	{ 0xf36ff770, 0xa7e1, 0x42cf, { 0x9e, 0xd2, 0x56, 0xf0, 0xf2, 0x71, 0xf4, 0x4c } }
#define EFI_PXE_BASE_CODE_PROTOCOL_GUID \
	{ 0x03c4e603, 0xac28, 0x11d3, { 0x9a, 0x2d, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d } }
#define EFI_LOAD_FILE_PROTOCOL_GUID \
	{ 0x56ec3091, 0x954c, 0x11d2, { 0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b } }
#define EFI_RNG_PROTOCOL_GUID \
	{ 0x3152bca5, 0xeade, 0x433d, { 0x86, 0x2e, 0xc0, 0x1c, 0xdc, 0x29, 0x1f, 0x44 } }

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

typedef enum { TimerCancel, TimerPeriodic, TimerRelative } EFI_TIMER_DELAY;

#define EVT_TIMER 0x80000000

typedef enum { AllocateAnyPages } EFI_ALLOCATE_TYPE;

typedef enum {
	EfiReservedMemoryType, EfiLoaderCode, EfiLoaderData, EfiBootServicesCode, EfiBootServicesData,
	EfiRuntimeServicesCode, EfiRuntimeServicesData, EfiConventionalMemory
} EFI_MEMORY_TYPE;

typedef struct {
	UINT32 Type;
	UINT64 PhysicalStart, VirtualStart, NumberOfPages, Attribute;
} EFI_MEMORY_DESCRIPTOR;

typedef struct {
	EFI_HANDLE AgentHandle, ControllerHandle;
	UINT32 Attributes, OpenCount;
} EFI_OPEN_PROTOCOL_INFORMATION_ENTRY;

typedef struct {
	EFI_TABLE_HEADER Hdr;
	void *RaiseTPLAndRestoreTPL[2];
	EFI_STATUS ( EFIAPI *AllocatePages ) ( EFI_ALLOCATE_TYPE Type, EFI_MEMORY_TYPE MemoryType, UINTN Pages, UINT64 *Memory );
	void *FreePages;
	EFI_STATUS ( EFIAPI *GetMemoryMap ) ( UINTN *MemoryMapSize, EFI_MEMORY_DESCRIPTOR *MemoryMap, UINTN *MapKey,
			UINTN *DescriptorSize, UINT32 *DescriptorVersion );
	void *AllocatePoolToFreePool[2];
	EFI_STATUS ( EFIAPI *CreateEvent ) ( UINT32 Type, UINTN NotifyTpl, void *NotifyFunction, void *NotifyContext,
			EFI_EVENT *Event );
	EFI_STATUS ( EFIAPI *SetTimer ) ( EFI_EVENT Event, EFI_TIMER_DELAY Type, UINT64 TriggerTime );
	EFI_STATUS ( EFIAPI *WaitForEvent ) ( UINTN NumberOfEvents, EFI_EVENT *Event, UINTN *Index );
	void *SignalEvent;
	EFI_STATUS ( EFIAPI *CloseEvent ) ( EFI_EVENT Event );
	void *CheckEvent;
	EFI_STATUS ( EFIAPI *InstallProtocolInterface ) ( EFI_HANDLE *Handle, const EFI_GUID *Protocol, UINT32 InterfaceType,
			void *Interface );
	void *ReinstallProtocolInterfaceToUninstallProtocolInterface[2];
	EFI_STATUS ( EFIAPI *HandleProtocol ) ( EFI_HANDLE Handle, const EFI_GUID *Protocol, void **Interface );
	void *ReservedToUnloadImage[9];
	EFI_STATUS ( EFIAPI *ExitBootServices ) ( EFI_HANDLE ImageHandle, UINTN MapKey );
	void *GetNextMonotonicCount;
	EFI_STATUS ( EFIAPI *Stall ) ( UINTN Microseconds );
	EFI_STATUS ( EFIAPI *SetWatchdogTimer ) ( UINTN Timeout, UINT64 WatchdogCode, UINTN DataSize,
			const CHAR16 *WatchdogData );
	EFI_STATUS ( EFIAPI *ConnectController ) ( EFI_HANDLE ControllerHandle, EFI_HANDLE *DriverImageHandle,
			void *RemainingDevicePath, BOOLEAN Recursive );
	EFI_STATUS ( EFIAPI *DisconnectController ) ( EFI_HANDLE ControllerHandle, EFI_HANDLE DriverImageHandle,
			EFI_HANDLE ChildHandle );
	EFI_STATUS ( EFIAPI *OpenProtocol ) ( EFI_HANDLE Handle, const EFI_GUID *Protocol, void **Interface,
			EFI_HANDLE AgentHandle, EFI_HANDLE ControllerHandle, UINT32 Attributes );
	EFI_STATUS ( EFIAPI *CloseProtocol ) ( EFI_HANDLE Handle, const EFI_GUID *Protocol, EFI_HANDLE AgentHandle,
			EFI_HANDLE ControllerHandle );
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

#define EFI_NATIVE_INTERFACE 0
#define MESSAGING_DEVICE_PATH 3
#define MSG_MAC_ADDR_DP 11
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

typedef struct EFI_DRIVER_BINDING_PROTOCOL EFI_DRIVER_BINDING_PROTOCOL;
struct EFI_DRIVER_BINDING_PROTOCOL {
	EFI_STATUS ( EFIAPI *Supported ) ( EFI_DRIVER_BINDING_PROTOCOL *This, EFI_HANDLE ControllerHandle,
			EFI_DEVICE_PATH_PROTOCOL *RemainingDevicePath );
	void *Start, *Stop;
	UINT32 Version;
	EFI_HANDLE ImageHandle, DriverBindingHandle;
};

/* A link-layer address. Only the first HwAddressSize bytes are used. */
typedef struct {
	UINT8 Addr[32];
} EFI_MAC_ADDRESS;

typedef struct {
	EFI_DEVICE_PATH_PROTOCOL Header;
	EFI_MAC_ADDRESS MacAddress;
	UINT8 IfType;
} MAC_ADDR_DEVICE_PATH;

/* Also EFI_COMPONENT_NAME_PROTOCOL, which differs only in the codes of languages. */
typedef struct EFI_COMPONENT_NAME2_PROTOCOL EFI_COMPONENT_NAME2_PROTOCOL;
struct EFI_COMPONENT_NAME2_PROTOCOL {
	EFI_STATUS ( EFIAPI *GetDriverName ) ( EFI_COMPONENT_NAME2_PROTOCOL *This, const CHAR8 *Language, CHAR16 **DriverName );
};

typedef enum { EfiPciIoWidthUint8, EfiPciIoWidthUint16, EfiPciIoWidthUint32 } EFI_PCI_IO_PROTOCOL_WIDTH;

#define PCI_REVISION_AND_CLASS 0x08
#define PCI_CLASS_NETWORK 0x02

typedef struct EFI_PCI_IO_PROTOCOL EFI_PCI_IO_PROTOCOL;

typedef struct {
	EFI_STATUS ( EFIAPI *Read ) ( EFI_PCI_IO_PROTOCOL *This, EFI_PCI_IO_PROTOCOL_WIDTH Width, UINT32 Offset, UINTN Count,
			void *Buffer );
	void *Write;
} EFI_PCI_IO_PROTOCOL_CONFIG_ACCESS;

struct EFI_PCI_IO_PROTOCOL {
	void *PollMemToIoWrite[6];
	EFI_PCI_IO_PROTOCOL_CONFIG_ACCESS Pci;
	void *CopyMemToFlush[6];
	EFI_STATUS ( EFIAPI *GetLocation ) ( EFI_PCI_IO_PROTOCOL *This, UINTN *SegmentNumber, UINTN *BusNumber,
			UINTN *DeviceNumber, UINTN *FunctionNumber );
	void *Attributes, *GetBarAttributes, *SetBarAttributes;
	UINT64 RomSize;
	void *RomImage;
};

#define MAX_MCAST_FILTER_CNT 16
#define EFI_SIMPLE_NETWORK_RECEIVE_UNICAST 0x01
#define EFI_SIMPLE_NETWORK_RECEIVE_MULTICAST 0x02
#define EFI_SIMPLE_NETWORK_RECEIVE_BROADCAST 0x04

typedef enum { EfiSimpleNetworkStopped, EfiSimpleNetworkStarted, EfiSimpleNetworkInitialized } EFI_SIMPLE_NETWORK_STATE;

typedef struct {
	UINT32 State, HwAddressSize, MediaHeaderSize, MaxPacketSize, NvRamSize, NvRamAccessSize;
	UINT32 ReceiveFilterMask, ReceiveFilterSetting, MaxMCastFilterCount, MCastFilterCount;
	EFI_MAC_ADDRESS MCastFilter[MAX_MCAST_FILTER_CNT];
	EFI_MAC_ADDRESS CurrentAddress, BroadcastAddress, PermanentAddress;
	UINT8 IfType;
	BOOLEAN MacAddressChangeable, MultipleTxSupported, MediaPresentSupported, MediaPresent;
} EFI_SIMPLE_NETWORK_MODE;

typedef struct {
	UINT64 RxTotalFrames, RxGoodFrames, RxOther[8];
	UINT64 TxTotalFrames, TxGoodFrames, TxOther[8];
	UINT64 More[16];
} EFI_NETWORK_STATISTICS;

typedef struct EFI_SIMPLE_NETWORK_PROTOCOL EFI_SIMPLE_NETWORK_PROTOCOL;
struct EFI_SIMPLE_NETWORK_PROTOCOL {
	UINT64 Revision;
	EFI_STATUS ( EFIAPI *Start ) ( EFI_SIMPLE_NETWORK_PROTOCOL *This );
	EFI_STATUS ( EFIAPI *Stop ) ( EFI_SIMPLE_NETWORK_PROTOCOL *This );
	EFI_STATUS ( EFIAPI *Initialize ) ( EFI_SIMPLE_NETWORK_PROTOCOL *This, UINTN ExtraRxBufferSize,
			UINTN ExtraTxBufferSize );
	EFI_STATUS ( EFIAPI *Reset ) ( EFI_SIMPLE_NETWORK_PROTOCOL *This, BOOLEAN ExtendedVerification );
	EFI_STATUS ( EFIAPI *Shutdown ) ( EFI_SIMPLE_NETWORK_PROTOCOL *This );
	EFI_STATUS ( EFIAPI *ReceiveFilters ) ( EFI_SIMPLE_NETWORK_PROTOCOL *This, UINT32 Enable, UINT32 Disable,
			BOOLEAN ResetMCastFilter, UINTN MCastFilterCnt, EFI_MAC_ADDRESS *MCastFilter );
	EFI_STATUS ( EFIAPI *StationAddress ) ( EFI_SIMPLE_NETWORK_PROTOCOL *This, BOOLEAN Reset, EFI_MAC_ADDRESS *New );
	EFI_STATUS ( EFIAPI *Statistics ) ( EFI_SIMPLE_NETWORK_PROTOCOL *This, BOOLEAN Reset, UINTN *StatisticsSize,
			EFI_NETWORK_STATISTICS *StatisticsTable );
	EFI_STATUS ( EFIAPI *MCastIpToMac ) ( EFI_SIMPLE_NETWORK_PROTOCOL *This, BOOLEAN IPv6, const void *IP,
			EFI_MAC_ADDRESS *MAC );
	EFI_STATUS ( EFIAPI *NvData ) ( EFI_SIMPLE_NETWORK_PROTOCOL *This, BOOLEAN ReadWrite, UINTN Offset,
			UINTN BufferSize, void *Buffer );
	EFI_STATUS ( EFIAPI *GetStatus ) ( EFI_SIMPLE_NETWORK_PROTOCOL *This, UINT32 *InterruptStatus, void **TxBuf );
	EFI_STATUS ( EFIAPI *Transmit ) ( EFI_SIMPLE_NETWORK_PROTOCOL *This, UINTN HeaderSize, UINTN BufferSize,
			void *Buffer, EFI_MAC_ADDRESS *SrcAddr, EFI_MAC_ADDRESS *DestAddr, UINT16 *Protocol );
	EFI_STATUS ( EFIAPI *Receive ) ( EFI_SIMPLE_NETWORK_PROTOCOL *This, UINTN *HeaderSize, UINTN *BufferSize,
			void *Buffer, EFI_MAC_ADDRESS *SrcAddr, EFI_MAC_ADDRESS *DestAddr, UINT16 *Protocol );
	EFI_EVENT WaitForPacket;
	EFI_SIMPLE_NETWORK_MODE *Mode;
};

#endif
