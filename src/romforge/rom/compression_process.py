# SPDX-License-Identifier: GPL-2.0-or-later
"""The process in which ``compression_cache`` compresses a driver.

Most drivers take less time than the imports of a program, so this one imports only the encoder.
"""

from __future__ import annotations

import sys

from romforge.formats.uefi_compression import encoder


def main() -> None:
    """Compresses standard input to a file; the arguments are a level and the file's path.

    The progress goes to standard error, a line for each round: ``DONE of TOTAL``.
    """

    def report_round(done: int, total: int) -> None:
        print(f"{done} of {total}", file=sys.stderr, flush=True)

    level, output = sys.argv[1:]
    try:
        stream = encoder.compress(sys.stdin.buffer.read(), level, report_round)
        with open(output, "wb") as file:
            file.write(stream)
    except OSError as error:
        raise SystemExit(f"{output}: cannot be written: {error.strerror}") from None


if __name__ == "__main__":
    main()
