# Keeps one throw-away Postgres server, and a PgBouncer before it if it is told to. It does what it is told on its input,
# one order a line, and answers each with "ok" or "failed". When its input ends, however the process at the other end died,
# it stops what it started and removes its files.
#
# $1: the folder of Postgres' programs; $2: the folder to keep everything in, with the superuser's password in it
bin=$1 dir=$2
data=$dir/data log=$dir/log

# What is started here must not inherit this script's input and output: their ends would stay open with the server.
try() {
	if "$@" </dev/null >>"$log" 2>&1; then echo ok; else echo failed; fi
}

while read -r order options; do
	case $order in
	init)
		try "$bin/initdb" --pgdata="$data" --no-sync --no-instructions --encoding=UTF8 --locale=C \
			--username=postgres --pwfile="$dir/password" --auth=password
		;;
	start) try "$bin/pg_ctl" start --wait --pgdata="$data" --log="$log" --options="$options" ;;
	stop) try "$bin/pg_ctl" stop --wait --pgdata="$data" --mode=fast ;;
	kill) try "$bin/pg_ctl" stop --wait --pgdata="$data" --mode=immediate ;;
	copy) # of the server whose address is given, to follow it
		try "$bin/pg_basebackup" --pgdata="$data" --dbname="$options" --write-recovery-conf --checkpoint=fast --no-sync
		;;
	promote) try "$bin/pg_ctl" promote --wait --pgdata="$data" ;;
	pool) try "$options" --daemon "$dir/pooler.ini" ;; # the program is given
	esac
done
if [ -f "$dir/pooler.pid" ]; then kill -KILL "$(cat "$dir/pooler.pid")"; fi >/dev/null 2>&1
"$bin/pg_ctl" stop --wait --pgdata="$data" --mode=immediate >/dev/null 2>&1
rm -rf "$dir"
