# SPDX-License-Identifier: GPL-2.0-or-later
# Completes romforge's command line in fish: source this, or put it into a directory of $fish_complete_path, as `romforge.fish`.

function __romforge_found
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l command (string replace -r '^~/' "$HOME/" -- $words[1])
    set -g __romforge_words ($command __complete fish $words[2..-1] "$word" 2>/dev/null)
    set -l kind $__romforge_words[1]
    set -e __romforge_words[1]
    if test "$kind" = directories
        set __romforge_words (__fish_complete_directories "$word" '')
    end
    test "$kind" != files
end

complete -c romforge -n __romforge_found -f -a '$__romforge_words'
