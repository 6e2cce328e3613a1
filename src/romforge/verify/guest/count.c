/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counts on QEMU's machines "virt", as count.S does on a PC: it is run in place of the firmware, counts in RAM and
 * writes the numbers to the first serial port. After a live migration the count goes on where it was, if the guest's
 * RAM has arrived. Nothing relocates the program, so there are no variables outside of RAM.
 */
#pragma GCC visibility push ( hidden )

typedef __UINT8_TYPE__ UINT8;
typedef __UINT32_TYPE__ UINT32;
typedef __UINT64_TYPE__ UINT64;

#define REGISTER( type, address ) ( *( volatile type * ) ( address ) )

/* The end of the stack, in RAM where QEMU has put nothing else. */
#if defined ( __aarch64__ )
#define STACK "0x41000000"
#define START "mov x0, #" STACK "\n mov sp, x0\n b count\n"
#elif defined ( __riscv ) && __riscv_xlen == 64
#define STACK "0x81000000"
#define START "li sp, " STACK "\n j count\n"
#elif defined ( __loongarch__ )
#define STACK "0x01000000"
#define START "li.w $sp, " STACK "\n b count\n"
#else
#error "no machine that counts"
#endif

asm (
	".pushsection .text.entry, \"ax\"\n"
	".globl start\n"
	"start:\n" START
	".popsection\n"
	".pushsection .rodata\n"
	".globl nonce\n"
	"nonce: .asciz \"NONCE-GOES-HERE!\"\n"
	".popsection\n"
);

extern const char nonce[];

/* What migrates. The program may be in flash, and its nonce another one at the destination. */
struct state {
	UINT32 counter;
	char nonce[17];
};

#if defined ( __aarch64__ )		/* PL011 */

#define UART 0x09000000

static void uart_init ( void ) {
	REGISTER ( UINT32, UART + 0x30 ) = 0x101;	/* control: on, sends */
}

static void put ( char character ) {
	while ( REGISTER ( UINT32, UART + 0x18 ) & 0x20 ) {}	/* flags: full */
	REGISTER ( UINT32, UART ) = character;
}

#else					/* 16550 */

#ifdef __riscv
#define UART 0x10000000
#else
#define UART 0x1fe001e0
#endif

static void uart_init ( void ) {
	REGISTER ( UINT8, UART + 3 ) = 0x03;		/* 8n1 */
}

static void put ( char character ) {
	while ( ! ( REGISTER ( UINT8, UART + 5 ) & 0x40 ) ) {}	/* not everything is sent */
	REGISTER ( UINT8, UART ) = character;
}

#endif

/* The time in ticks, and 10 ms of it */
static UINT64 now ( void ) {
	UINT64 ticks;
#if defined ( __aarch64__ )
	asm volatile ( "isb\n mrs %0, cntvct_el0" : "=r" ( ticks ) );
#elif defined ( __riscv )
	ticks = REGISTER ( UINT64, 0x0200bff8 );	/* mtime of the CLINT */
#else
	asm volatile ( "rdtime.d %0, $zero" : "=r" ( ticks ) );
#endif
	return ticks;
}

static UINT64 ten_milliseconds ( void ) {
	UINT64 frequency;
#if defined ( __aarch64__ )
	asm ( "mrs %0, cntfrq_el0" : "=r" ( frequency ) );
#elif defined ( __riscv )
	frequency = 10000000;
#else
	frequency = 100000000;
#endif
	return frequency / 100;
}

static void put_text ( const char *text ) {
	while ( *text )
		put ( *text++ );
}

static void put_hex ( UINT32 value ) {
	for ( int shift = 28; shift >= 0; shift -= 4 ) {
		unsigned int digit = ( value >> shift ) & 0xf;
		put ( digit < 10 ? '0' + digit : 'a' + digit - 10 );
	}
}

__attribute__ (( noreturn, used )) void count ( void ) {
	struct state state;

	for ( unsigned int index = 0; index < sizeof ( state.nonce ); index++ )
		state.nonce[index] = nonce[index];
	state.counter = 0;
	uart_init ();
	for (;;) {
		put_text ( "romforge " );
		put_text ( state.nonce );
		put ( ' ' );
		put_hex ( ++state.counter );
		put_text ( "\r\n" );
		UINT64 began = now ();
		while ( now () - began < ten_milliseconds () ) {}
	}
}
