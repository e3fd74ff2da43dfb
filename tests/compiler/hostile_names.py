"""Names that a model may have and that mean something to HTML, JSON, JavaScript, DOT or a terminal."""

HOSTILE_NAMES = (
    "", " ", "</script><script>alert(1)</script>", "<!--<script>", "]]>", "<img src=x onerror=alert(1)>",
    '"', "'", '\\"', "\\", "a\\n", "a\nb", "\u2028", "\x00", "\x1b[31m", "&lt;b&gt;", "&#34;&quot",
    "{a|<b>c}", "\\N\\G\\l", "プログラム", "🔍", "\u202eabc", "${1}{{data}}", "//-->", "x" * 5000, "%s%n",
    "constructor", "__proto__", "\ud800",
)  # fmt: skip
