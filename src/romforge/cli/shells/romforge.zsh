#compdef romforge
# SPDX-License-Identifier: GPL-2.0-or-later
# Completes romforge's command line in zsh: source this after compinit, or put it into a directory of $fpath, as `_romforge`.

_romforge() {
    local -a found
    found=("${(@f)$(${~words[1]} __complete zsh "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    case $found[1] in
        words)
            shift found
            _describe -t words romforge found
            ;;
        files*)
            compset -p ${found[1]#files }
            _files
            ;;
        directories)
            compset -P '--*='
            _files -/
            ;;
    esac
}

if [[ $funcstack[1] = _romforge ]]; then
    _romforge "$@"
else
    compdef _romforge romforge
fi
