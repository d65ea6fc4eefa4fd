"""Values of environment variables that are easily changed on their way to a job."""

from __future__ import annotations

ODD_VALUES = {
    "ODD_QUOTES": 'say "hi" it\'s',
    "ODD_JSON": '{"theme": "dark", "list": [1, 2]}',
    "ODD_BACKSLASH": "a\\b\\\\c\\",
    "ODD_COMMA": "a,b=c,d",
    "ODD_DOLLAR": "$HOME `id` $(id) ${X} !x",
    "ODD_LINES": "one\ntwo\n\n",
    "ODD_DIRECTIVE": "\n#PBS -q express\n#SBATCH -p nowhere\n",
    "ODD_WINDOWS": "one\r\ntwo 100% 'x' \\n\r\n",
    "ODD_EQUALS": "a=b==c",
    "ODD_BLANKS": "  a\tb  ",
    "ODD_UTF8": "Grüße 北京 🙂",
    "ODD_PAGE": "🙂" * 2000,
    "ODD_LONG": "x,'" * 33_334,
    "ODD_EMPTY": "",
}
