#!/usr/bin/env bash
# Reads a stream with curl as a shell script can: prints each event once its blank line has come, and goes on behind the
# last one of them whenever curl ends. A transfer that curl calls incomplete (18) becomes a comment.
url=$1
cursor=''
retry=1000
while true; do
  id=$cursor
  event=''
  while IFS= read -r line; do
    if [[ -n $line ]]; then
      event+=$line$'\n'
      case $line in
        'id: '*) id=${line#id: } ;;
        'retry: '*) retry=${line#retry: } ;;
      esac
    elif [[ -n $event ]]; then
      printf '%s\n' "$event"
      event=''
      cursor=$id
    fi
  done < <(exec curl -sN -H "Last-Event-ID: $cursor" "$url")
  wait $! || { code=$?; ((code != 18)) || printf ': raised %d by curl\n' "$code"; }
  printf -v pause '%d.%03d' $((retry / 1000)) $((retry % 1000))
  sleep "$pause"
done
