# SPDX-License-Identifier: GPL-2.0-or-later
# Medians and ratios from lines of `KIND NAME VALUE UNIT SAMPLES`, sorted by kind,
# name and value. json: one object a line instead of a table. wanted: what to report.

BEGIN {
	split(wanted, list, " ")
	for (i in list)
		want[list[i]] = 1
	target["upgrade_15_sharers"] = 1.3
	target["upgrade_15_sharers_sim"] = 1.1
	if (!json)
		printf "%-30s %10s %-9s %-16s %10s %7s\n", "figure", "ours", "unit", "floor",
			"its value", "ratio"
}

{
	key = $1 SUBSEP $2
	value[key, ++count[key]] = $3
	samples[key] += $5
	unit[key] = $4
}

function median(kind, name,  k, n) {
	k = kind SUBSEP name
	n = count[k]
	return n % 2 ? value[k, (n + 1) / 2] : (value[k, n / 2] + value[k, n / 2 + 1]) / 2
}

function there(kind, name) {
	return (kind SUBSEP name) in count
}

function number(x) {
	return x >= 1000 ? sprintf("%.0f", x) : sprintf("%.2f", x)
}

function put(shown, v, u, floor_name, f, n,  verdict) {
	if (json) {
		printf "{\"name\": \"%s\", \"value\": %s, \"unit\": \"%s\", \"floor\": %s, " \
			"\"floor_value\": %s, \"ratio\": %s, \"samples\": %d}\n", shown, number(v),
			u, f ? "\"" floor_name "\"" : "null", f ? number(f) : "null",
			f ? sprintf("%.3f", v / f) : "null", n
		return
	}
	if (shown in target)
		verdict = sprintf("target <= %.2f, %s", target[shown],
			v / f <= target[shown] ? "reached" : "NOT reached")
	printf "%-30s %10s %-9s %-16s %10s %7s  %s\n", shown, number(v), u, f ? floor_name : "-",
		f ? number(f) : "-", f ? sprintf("%.3f", v / f) : "-", verdict
}

# against: so many raw round trips of the same kind of run.
function line(wish, shown, kind, name, trips,  f) {
	if (!(wish in want) || !there(kind, name))
		return
	f = trips && there(kind, "raw_round_trip_p50") ? trips * median(kind, "raw_round_trip_p50") : 0
	put(shown, median(kind, name), unit[kind, name], trips "_raw_trips", f,
	    samples[kind, name])
}

# To one sharer's.
function to_one(shown, kind) {
	if (!(shown in want) || !there(kind, "upgrade_15_p50"))
		return
	put(shown, median(kind, "upgrade_15_p50"), "us", "upgrade_1_sharer",
	    median(kind, "upgrade_1_p50"), samples[kind, "upgrade_15_p50"])
}

END {
	line("read_shared", "read_shared", "near", "read_shared_p50", 1)
	line("read_shared", "read_shared_p99", "near", "read_shared_p99", 1)
	for (i = split("1 3 15", n, " "); i > 0; i--)
		sharers[i] = n[i]
	for (i = 1; i <= 3; i++)
		line("upgrade", "upgrade_" sharers[i], "near", "upgrade_" sharers[i] "_p50", 2)
	line("transfer", "transfer", "near", "transfer_p50", 2)
	line("ping_pong", "ping_pong", "near", "ping_pong_p50", 2)
	line("ping_pong", "ping_pong_no_residence", "eager", "ping_pong_p50", 2)
	line("false_sharing", "unshared_writes", "near", "unshared_writes", 0)
	line("false_sharing", "false_sharing_writes", "near", "false_sharing_writes", 0)
	line("false_sharing", "false_sharing_stalls", "near", "false_sharing_stalls", 0)
	line("false_sharing", "no_residence_writes", "eager", "false_sharing_writes", 0)
	line("false_sharing", "no_residence_stalls", "eager", "false_sharing_stalls", 0)
	to_one("upgrade_15_sharers", "far")
	to_one("upgrade_15_sharers_sim", "sim")
}
