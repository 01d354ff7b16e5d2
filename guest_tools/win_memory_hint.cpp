// SPDX-License-Identifier: GPL-2.0-or-later
// For Windows guests: shows the virtual NUMA nodes, brings memory of a node in ahead of need, and
// starts a program on a node.
//
//   win_memory_hint nodes
//   win_memory_hint prefault SIZE_MIB [--node N] [--threads T] [--hold SECONDS]
//   win_memory_hint run NODE PROGRAM [ARGUMENT...]
//
// Build: x86_64-w64-mingw32-g++ -O2 -Wall -Wextra -municode -static -o win_memory_hint.exe
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0601
#endif
#include <windows.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <string>
#include <vector>

namespace {

constexpr std::size_t page_size = 4096;

int fail(const wchar_t *what)
{
	std::fwprintf(stderr, L"win_memory_hint: %ls: error %lu\n", what, GetLastError());
	return 1;
}

int usage()
{
	std::fputws(L"usage: win_memory_hint nodes\n"
		    L"       win_memory_hint prefault SIZE_MIB [--node N] [--threads T] "
		    L"[--hold SECONDS]\n"
		    L"       win_memory_hint run NODE PROGRAM [ARGUMENT...]\n",
		    stderr);
	return 2;
}

// A whole decimal number no greater than most, or false.
bool parse(const wchar_t *text, std::uint64_t most, std::uint64_t *out)
{
	wchar_t *end = nullptr;

	if (*text < L'0' || *text > L'9')
		return false;
	errno = 0;
	*out = std::wcstoull(text, &end, 10);
	return !errno && !*end && *out <= most;
}

int show_nodes()
{
	ULONG highest = 0;

	if (!GetNumaHighestNodeNumber(&highest))
		return fail(L"cannot read the NUMA nodes");
	for (USHORT node = 0; node <= highest; node++) {
		GROUP_AFFINITY mask = {};
		ULONGLONG bytes = 0;

		if (!GetNumaNodeProcessorMaskEx(node, &mask) ||
		    !GetNumaAvailableMemoryNodeEx(node, &bytes))
			continue;
		std::wprintf(L"node %u: %llu MiB free, processors %#llx of group %u\n", node,
			     bytes >> 20, static_cast<unsigned long long>(mask.Mask), mask.Group);
	}
	return 0;
}

struct share {
	volatile char *base;
	std::size_t pages;
	USHORT node;
};

// Runs on a processor of the node, so that the page is brought to it. A write, since a read
// of fresh memory maps the shared zero page only.
DWORD WINAPI touch(void *arg)
{
	const share *s = static_cast<const share *>(arg);
	GROUP_AFFINITY mask = {};

	if (GetNumaNodeProcessorMaskEx(s->node, &mask) && mask.Mask)
		SetThreadGroupAffinity(GetCurrentThread(), &mask, nullptr);
	for (std::size_t i = 0; i < s->pages; i++)
		s->base[i * page_size] = 1;
	return 0;
}

int touch_all(char *base, std::size_t pages, USHORT node, unsigned threads)
{
	std::vector<share> shares(threads);
	std::vector<HANDLE> handles;

	for (unsigned t = 0; t < threads; t++) {
		std::size_t first = pages * t / threads, last = pages * (t + 1) / threads;
		HANDLE h;

		shares[t] = {base + first * page_size, last - first, node};
		h = CreateThread(nullptr, 0, touch, &shares[t], 0, nullptr);
		if (h)
			handles.push_back(h);
		else
			touch(&shares[t]);
	}
	for (HANDLE h : handles) {
		WaitForSingleObject(h, INFINITE);
		CloseHandle(h);
	}
	return 0;
}

int prefault(int argc, wchar_t **argv)
{
	std::uint64_t mib = 0, node = 0, threads = 1, hold = 0;
	LARGE_INTEGER start, end, rate;
	std::size_t size;
	char *base;

	if (argc < 1 || !parse(argv[0], 1ULL << 24, &mib) || !mib)
		return usage();
	for (int i = 1; i < argc; i += 2) {
		std::wstring name = argv[i];
		std::uint64_t *value = name == L"--node"      ? &node
				       : name == L"--threads" ? &threads
				       : name == L"--hold"    ? &hold
							      : nullptr;

		if (!value || i + 1 >= argc || !parse(argv[i + 1], 65535, value))
			return usage();
	}
	if (!threads)
		return usage();
	size = static_cast<std::size_t>(mib) << 20;
	base = static_cast<char *>(VirtualAllocExNuma(GetCurrentProcess(), nullptr, size,
						      MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE,
						      static_cast<DWORD>(node)));
	if (!base)
		return fail(L"cannot allocate");
	QueryPerformanceFrequency(&rate);
	QueryPerformanceCounter(&start);
	touch_all(base, size / page_size, static_cast<USHORT>(node),
		  static_cast<unsigned>(threads));
	QueryPerformanceCounter(&end);
	std::wprintf(L"%llu MiB on node %llu in %.3f s\n", static_cast<unsigned long long>(mib),
		     static_cast<unsigned long long>(node),
		     static_cast<double>(end.QuadPart - start.QuadPart) /
			     static_cast<double>(rate.QuadPart));
	Sleep(static_cast<DWORD>(hold * 1000));
	VirtualFree(base, 0, MEM_RELEASE);
	return 0;
}

// Quotes an argument the way the C runtime takes it apart again.
std::wstring quoted(const std::wstring &arg)
{
	std::wstring out = L"\"";
	std::size_t backslashes = 0;

	for (wchar_t c : arg) {
		if (c == L'"')
			out.append(backslashes + 1, L'\\');
		backslashes = c == L'\\' ? backslashes + 1 : 0;
		out += c;
	}
	return out.append(backslashes, L'\\') + L"\"";
}

int run(int argc, wchar_t **argv)
{
	PROCESS_INFORMATION process = {};
	STARTUPINFOW startup = {};
	GROUP_AFFINITY mask = {};
	std::uint64_t node = 0;
	std::wstring command;
	DWORD status = 1;

	if (argc < 2 || !parse(argv[0], 65535, &node))
		return usage();
	if (!GetNumaNodeProcessorMaskEx(static_cast<USHORT>(node), &mask) || !mask.Mask)
		return fail(L"no such node");
	for (int i = 1; i < argc; i++)
		command += (i > 1 ? L" " : L"") + quoted(argv[i]);
	startup.cb = sizeof(startup);
	if (!CreateProcessW(nullptr, &command[0], nullptr, nullptr, TRUE, CREATE_SUSPENDED, nullptr,
			    nullptr, &startup, &process))
		return fail(L"cannot start the program");
	if (!SetThreadGroupAffinity(process.hThread, &mask, nullptr) ||
	    !SetProcessAffinityMask(process.hProcess, mask.Mask)) {
		int code = fail(L"cannot place the program on the node");

		TerminateProcess(process.hProcess, 1);
		return code;
	}
	ResumeThread(process.hThread);
	WaitForSingleObject(process.hProcess, INFINITE);
	GetExitCodeProcess(process.hProcess, &status);
	return static_cast<int>(status);
}

} // namespace

int wmain(int argc, wchar_t **argv)
{
	std::wstring command = argc > 1 ? argv[1] : L"";

	if (command == L"nodes")
		return show_nodes();
	if (command == L"prefault")
		return prefault(argc - 2, argv + 2);
	if (command == L"run")
		return run(argc - 2, argv + 2);
	return usage();
}
