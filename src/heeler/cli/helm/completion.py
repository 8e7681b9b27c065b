"""`helm completion`: the scripts by which shells ask `heeler helm __complete` what could come next.

They complete `heeler helm …`, and `helm …` for whoever has an alias or a link of that name. Beside `heeler completion`'s
script they leave heeler's other commands to that.
"""

from __future__ import annotations

from heeler.cli.helm.complete import ASKED, ASKED_PLAINLY
from heeler.cli.helm.frame import Call

_BASH = r"""# completion of heeler helm for bash
__heeler_helm_complete() {
    local word line what entries=() first=1
    COMPREPLY=()
    if [[ ${COMP_WORDS[0]##*/} == heeler ]]; then
        if [[ ${COMP_WORDS[1]-} != helm || $COMP_CWORD -lt 2 ]]; then
            declare -F _heeler_completion >/dev/null && _heeler_completion heeler
            return
        fi
        first=2
    fi
    word=${COMP_WORDS[COMP_CWORD]}
    [[ $word == = ]] && word=
    while IFS= read -r line; do
        entries+=("$line")
    done < <(heeler helm ASKED "${COMP_WORDS[@]:first:COMP_CWORD-first}" "$word" 2>/dev/null)
    (( ${#entries[@]} )) || return
    what=${entries[-1]#:}
    unset 'entries[-1]'
    for line in "${entries[@]}"; do
        [[ $line == _activeHelp_* ]] && continue
        [[ ${line%%$'\t'*} == "$word"* ]] && COMPREPLY+=("$line")
    done
    if (( ${#COMPREPLY[@]} == 1 )); then
        COMPREPLY=("${COMPREPLY[0]%%$'\t'*}")
    elif [[ ${COMP_TYPE-} != 63 ]]; then
        COMPREPLY=("${COMPREPLY[@]%%$'\t'*}")
    else
        COMPREPLY=("${COMPREPLY[@]/$'\t'/  -- }")
    fi
    (( what & 2 )) && compopt -o nospace 2>/dev/null
    (( what & 4 )) && compopt +o default 2>/dev/null
    return 0
}
complete -o default -F __heeler_helm_complete helm heeler
"""

_ZSH = r"""#compdef helm
# completion of heeler helm for zsh
__heeler_helm_complete() {
    local line what first=2
    local -a entries shown
    if [[ ${words[1]:t} == heeler ]]; then
        if [[ ${words[2]} != helm || $CURRENT -lt 3 ]]; then
            (( ${+functions[_heeler_completion]} )) && _heeler_completion "$@"
            return
        fi
        first=3
    fi
    entries=("${(@f)$(heeler helm ASKED "${(@)words[first,CURRENT-1]}" "${words[CURRENT]}" 2>/dev/null)}")
    what=${entries[-1]#:}
    entries=("${(@)entries[1,-2]}")
    for line in "${entries[@]}"; do
        [[ $line == _activeHelp_* ]] && continue
        shown+=("${${line%%$'\t'*}//:/\\:}${${(M)line%%$'\t'*}:+:${line#*$'\t'}}")
    done
    local -a how
    (( what & 2 )) && how=(-S '')
    (( ${#shown} )) && _describe -V 'completions' shown "${how[@]}"
    (( what & 4 || ${#shown} )) || _files
}
compdef __heeler_helm_complete helm heeler
"""

_FISH = r"""# completion of heeler helm for fish
function __heeler_helm_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    if test (basename -- $words[1]) = heeler
        set -e words[1]
    end
    set -l lines (heeler helm ASKED $words[2..-1] "$word" 2>/dev/null)
    test (count $lines) -gt 0; or return
    set -l what (string replace ':' '' -- $lines[-1])
    set -e lines[-1]
    set lines (string match -v -- '_activeHelp_*' $lines)
    if test (count $lines) -eq 0 -a (math "bitand($what, 4)") -eq 0
        __fish_complete_path "$word"
    end
    printf '%s\n' $lines
end
complete -c helm -f -a '(__heeler_helm_complete)'
complete -c heeler -n '__fish_seen_subcommand_from helm' -f -a '(__heeler_helm_complete)'
"""

_POWERSHELL = r"""# completion of heeler helm for PowerShell
Register-ArgumentCompleter -Native -CommandName 'helm', 'heeler' -ScriptBlock {
    param($word, $tree, $position)
    $words = @($tree.CommandElements | Where-Object { $_.Extent.StartOffset -lt $position } | ForEach-Object { "$_" })
    $rest = @($words | Select-Object -Skip 1)
    if ($words[0] -like '*heeler*') {
        if ($rest.Count -eq 0 -or $rest[0] -ne 'helm') { return }
        $rest = @($rest | Select-Object -Skip 1)
    }
    if ($word -ne '' -and $rest.Count -gt 0) { $rest = @($rest | Select-Object -SkipLast 1) }
    $asked = if ($word -eq '') { '""' } else { $word }
    & heeler helm ASKED @rest $asked 2>$null | Where-Object { $_ -notmatch '^(:\d+$|_activeHelp_)' } | ForEach-Object {
        $name, $meaning = "$_" -split "`t", 2
        if ($name -like "$word*") {
            if (-not $meaning) { $meaning = $name }
            [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterValue', $meaning)
        }
    }
}
"""


def _print(call: Call, script: str) -> int:
    call.write(script.replace("ASKED", ASKED_PLAINLY if call.flags.on("no-descriptions") else ASKED))
    return 0


def bash(call: Call) -> int:
    return _print(call, _BASH)


def zsh(call: Call) -> int:
    return _print(call, _ZSH)


def fish(call: Call) -> int:
    return _print(call, _FISH)


def powershell(call: Call) -> int:
    return _print(call, _POWERSHELL)
