# SPDX-License-Identifier: GPL-2.0-or-later
# Medians and ratios from lines of `CONFIG WHO NAME VALUE UNIT SAMPLES`, sorted by
# name, config, who and value. json: one object a line instead of a table.
# wanted: the names to report.

BEGIN {
	split(wanted, list, " ")
	for (i in list)
		want[list[i]] = 1
	suffix["one"] = ""
	suffix["two"] = "_two_core"
	suffix["roundabout"] = "_by_relay_floor"
	suffix["relay"] = "_relay"
	suffix["evicting"] = "_evicting"
	floor_name["seq_read_pages"] = "floor_seq"
	floor_name["boot_time"] = floor_name["local_guest_speed"] = "plain_qemu"
	target["read_fault_p50"] = target["write_fault_p50"] = target["boot_time"] = "<= 1.30"
	target["seq_read_pages"] = ">= 0.80"
	target["local_guest_speed"] = ">= 0.97"
	order = "read_fault_p50 read_fault_p99 write_fault_p50 write_fault_p99 seq_read_pages " \
		"rand_read_pages boot_time local_guest_speed raw_udp_stream"
}

{
	key = $3 SUBSEP $1 SUBSEP $2
	value[key, ++count[key]] = $4
	samples[key] += $6
	unit[$3] = $5
}

function median(key,  n) {
	n = count[key]
	return n % 2 ? value[key, (n + 1) / 2] : (value[key, n / 2] + value[key, n / 2 + 1]) / 2
}

function number(x) {
	return x >= 1000 ? sprintf("%.0f", x) : sprintf("%.2f", x)
}

function reached(name, ratio,  t) {
	if (!(name in target))
		return ""
	split(target[name], t, " ")
	if (t[1] == "<=" ? ratio <= t[2] + 0 : ratio >= t[2] + 0)
		return "target " target[name] ", reached"
	return "target " target[name] ", NOT reached"
}

# other: what the figure is divided by; "" if there is nothing.
function line(name, shown, ours, other, other_name,  v, f) {
	v = median(ours)
	f = other == "" ? 0 : median(other)
	if (json)
		printf "{\"name\": \"%s\", \"value\": %s, \"unit\": \"%s\", \"floor\": %s, " \
			"\"floor_value\": %s, \"ratio\": %s, \"samples\": %d}\n", shown, number(v),
			unit[name], f ? "\"" other_name "\"" : "null", f ? number(f) : "null",
			f ? sprintf("%.3f", v / f) : "null", samples[ours]
	else
		printf "%-31s %10s %-9s %-12s %10s %7s  %s\n", shown, number(v), unit[name],
			f ? other_name : "-", f ? number(f) : "-", f ? sprintf("%.3f", v / f) : "-",
			reached(name, f ? v / f : 0)
}

END {
	if (!json)
		printf "%-31s %10s %-9s %-12s %10s %7s\n", "figure", "ours", "unit", "floor",
			"its value", "ratio"
	n = split("one roundabout two relay evicting", configs, " ")
	m = split(order, figures, " ")
	for (c = 1; c <= n; c++)
		for (i = 1; i <= m; i++) {
			name = figures[i]
			shown = name suffix[configs[c]]
			ours = name SUBSEP configs[c] SUBSEP "ours"
			other = name SUBSEP configs[c] SUBSEP "floor"
			if (!(name in want))
				continue
			if (name == "raw_udp_stream" && (other in count))
				line(name, shown, other, "", "")
			else if ((ours in count) && (other in count))
				line(name, shown, ours, other,
					name in floor_name ? floor_name[name] : "floor_fault")
		}
}
