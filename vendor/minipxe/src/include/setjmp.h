/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SETJMP_H
#define SETJMP_H

typedef __UINTPTR_TYPE__ jmp_buf[14];	/* enough for every architecture */
int setjmp ( jmp_buf env ) __attribute__ (( returns_twice ));
void longjmp ( jmp_buf env, int value ) __attribute__ (( noreturn ));

#endif
