#!/bin/sh
# The page: which pod answers, the entries that the back end keeps, and a form. The back end is found by the variables
# that Kubernetes gives every container for the services of its namespace.
backend="http://${BACKEND_SERVICE_HOST}:${BACKEND_SERVICE_PORT}/cgi-bin/entries"

escape() {
    sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e 's/>/\&gt;/g' -e 's/"/\&quot;/g'
}

if [ "$REQUEST_METHOD" = POST ]; then
    form=$(head -c "$(( ${CONTENT_LENGTH:-0} < 4096 ? ${CONTENT_LENGTH:-0} : 4096 ))")
    if timeout 5 wget -q -O /dev/null --header "X-Guestbook-Token: $TOKEN" --post-data "$form" "$backend"; then
        printf 'Status: 303 See Other\r\nLocation: /\r\n\r\n'
    else
        printf 'Status: 502 Bad Gateway\r\nContent-Type: text/plain\r\n\r\nthe back end did not take the entry\n'
    fi
    exit 0
fi

printf 'Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n\r\n'
title=$(printf '%s' "${TITLE:-Guestbook}" | escape)
cat <<PAGE
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fafaf7 }
.pod { padding: .5rem .8rem; border-left: .3rem solid #b7472a; background: #fff }
li { margin: .4rem 0 } time { color: #777; font-size: .85em }
input, button { font: inherit; padding: .4rem .6rem } input[name=text] { width: 60% }
</style>
</head>
<body>
<h1>$title</h1>
<p>$(printf '%s' "$GREETING" | escape)</p>
<p class="pod">Answered by pod <strong id="pod">$(printf '%s' "${POD_NAME:-$(hostname)}" | escape)</strong> on node $(printf '%s' "${NODE_NAME:-?}" | escape). Reload to meet another.</p>
<form method="post" action="/cgi-bin/index.cgi">
<input name="name" placeholder="Your name" maxlength="60">
<input name="text" placeholder="Your words" maxlength="200" required>
<button>Sign</button>
</form>
<ul>
PAGE
if entries=$(timeout 5 wget -q -O - "$backend"); then
    printf '%s\n' "$entries" | escape | awk -F '\t' 'NF >= 3 { line[++n] = "<li><strong>" $2 "</strong>: " $3 " <time>" $1 "</time></li>" } END { for (; n > 0; n--) print line[n] }'
else
    echo '<li>The back end does not answer.</li>'
fi
echo '</ul></body></html>'
