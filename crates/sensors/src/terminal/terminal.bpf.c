/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sessions on terminals: programs that are started while their session has one; and if user space wants it, what is
 * typed and shown there, as far as the terminal itself would show it.
 */

#include "calls.h"
#include "peek.h"
#include "terminals.h"

enum terminal_kind {
	TERMINAL_PROGRAM,
	TERMINAL_TEXT,
};
EXPORT(enum, terminal_kind);

enum terminal_call {
	TERMINAL_CALL_NONE,
	TERMINAL_CALL_READ,
	TERMINAL_CALL_READV,
	TERMINAL_CALL_WRITE,
	TERMINAL_CALL_WRITEV,
};
EXPORT(enum, terminal_call);

/* Which session on which terminal. Without gaps: it is part of a key. */
struct terminal_session {
	u32 major;
	u32 minor;
	/* The pid of the session's leader in the first pid namespace; 0 if it has ended, or has another terminal. */
	u32 session;
	u32 pad;
};

struct terminal_sample {
	struct sample_header header;
	struct terminal_session session;
};
EXPORT(struct, terminal_sample);

/* Parts of one call that are looked at. */
#define MAX_PARTS 8

/* Text of one call that is kept. A power of two, minus 1. */
#define TEXT_BYTES 8191

/* On the ring: then its bytes. */
struct terminal_text_sample {
	struct sample_header header;
	struct terminal_session session;
	u64 bytes; /* that were typed or shown */
	u32 kept;
	u8 is_typed;
	u8 is_hidden; /* the terminal did not show it */
	u8 pad[2];
};
EXPORT(struct, terminal_text_sample);

struct terminal_text {
	u64 left; /* of the call */
	u32 taken;
	u32 room;
	struct terminal_text_sample sample;
	u8 bytes[2 * (TEXT_BYTES + 1)]; /* old verifiers know no better than that each half may be full */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct terminal_text);
} terminal_texts SEC(".maps");

/* include/uapi/asm-generic/termbits.h (6.18) */
#define TERMIOS_ECHO 010
/* include/uapi/linux/stat.h (6.18) */
#define S_IFCHR 0020000
/* include/uapi/linux/major.h (6.18): the sides of those who show a terminal. */
#define PTY_MASTER_MAJOR	2
#define UNIX98_PTY_MASTER_MAJOR 128
#define UNIX98_PTY_SLAVE_MAJOR	136

/* Of slot_state.entries: for each phase bytes that were kept, and whether it was told that there are more. */
enum terminal_entry {
	ENTRY_KEPT,
	ENTRY_CUT = ENTRY_KEPT + PHASE_EXEC + 1,
};
_Static_assert(ENTRY_CUT + PHASE_EXEC < ENTRY_KINDS, "each has a counter");

static __always_inline void name_session(struct terminal_session *session, struct task_struct *task,
					 struct tty_struct *tty)
{
	device_of_terminal(tty, &session->major, &session->minor);
	session->session = 0;
	session->pad = 0;
	if (BPF_CORE_READ(task, signal, tty) == tty)
		session->session = BPF_CORE_READ(task, signal, pids[PIDTYPE_SID], numbers[0].nr);
}

HOOK("sched_process_exec", on_exec_terminal, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct tty_struct *tty = BPF_CORE_READ(task, signal, tty);
	struct terminal_sample *sample;
	struct task_note *note;

	if (!tty)
		return 0;
	note = current_note(task);
	if (!note)
		return 0;
	sample = reserve_sample(terminal_sample, task, note, SENSOR_terminal, TERMINAL_PROGRAM);
	if (!sample)
		return 0; /* counted */
	name_session(&sample->session, task, tty);
	bpf_ringbuf_submit(sample, 0);
	return 0;
}

/* The terminal behind a descriptor; none if it is something else, or the side of whoever shows it. */
static __always_inline struct tty_struct *terminal_at(struct task_struct *task, u32 descriptor)
{
	struct file *file = file_at(task, descriptor);
	struct tty_file_private *private;
	struct tty_struct *tty;
	u32 major;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFCHR)
		return 0;
	private = PEEK(file, private_data);
	/* Of other devices it is something else, which does not point back. */
	if (!private || BPF_CORE_READ(private, file) != file)
		return 0;
	tty = BPF_CORE_READ(private, tty);
	major = BPF_CORE_READ(tty, driver, major);
	if (major == PTY_MASTER_MAJOR || (major >= UNIX98_PTY_MASTER_MAJOR && major < UNIX98_PTY_SLAVE_MAJOR))
		return 0;
	return tty;
}

static __always_inline struct terminal_text *terminal_text(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&terminal_texts, &zero);
}

/*
 * Takes so much of one part of a call's text as is left and finds room; false: there is no more. Not static, as the
 * next: what it has come to is in memory, so that the verifier does not follow each way there.
 */
__noinline int take_part(u64 address, u64 bytes)
{
	struct terminal_text *text = terminal_text();
	u32 taken, length;

	if (!text)
		return 0;
	taken = text->taken;
	bytes = bytes < text->left ? bytes : text->left;
	length = bytes < text->room ? bytes : text->room;
	barrier_var(length); /* old verifiers need the masks */
	length &= TEXT_BYTES;
	barrier_var(taken);
	taken &= TEXT_BYTES;
	if (length && bpf_probe_read_user(text->bytes + taken, length, (void *)address))
		return 0;
	text->taken = taken + length;
	text->room -= length;
	text->left -= bytes;
	return text->left && text->room;
}

/* Takes the part of this number: include/uapi/linux/uio.h (6.18), include/linux/compat.h. */
__noinline int take_part_of_vector(u64 vectors, u32 position, u32 is_compat)
{
	u64 words[2] = {};
	u32 halves[2] = {};

	if (is_compat) {
		if (bpf_probe_read_user(halves, sizeof(halves), (void *)(vectors + position * sizeof(halves))))
			return 0;
		return take_part(halves[0], halves[1]);
	}
	if (bpf_probe_read_user(words, sizeof(words), (void *)(vectors + position * sizeof(words))))
		return 0;
	return take_part(words[0], words[1]);
}

static __always_inline void take_text(struct returned_call *call, u32 what)
{
	u32 is_compat = has_short_pointers(call);
	u64 address = call_argument(call->registers, call->table, 1);

	if (what == TERMINAL_CALL_READ || what == TERMINAL_CALL_WRITE) {
		take_part(address, call->result);
		return;
	}
	for (u32 i = 0; i < MAX_PARTS; i++) {
		if (!take_part_of_vector(address, i, is_compat))
			return;
	}
}

/*
 * What is typed is kept only while the terminal shows it itself: then it is no password, and what a program shows
 * instead of it, as shells do that let their lines be edited, comes as what is shown.
 */
ON_RETURN(terminal)
{
	u32 what = name_of_call(call, SENSOR_terminal), phase = call->note->phase, room, taken, *entries;
	struct terminal_text *text;
	struct slot_state *slot;
	struct tty_struct *tty;
	bool is_typed, is_hidden;
	u64 bytes;

	if (!settings.terminal_bytes || call->errno || call->result <= 0 || phase > PHASE_EXEC)
		return 0;
	tty = terminal_at(call->task, call_argument(call->registers, call->table, 0));
	if (!tty)
		return 0;
	text = terminal_text();
	slot = slot_at(call->note->slot);
	/* The slot has a new owner, and this task is none of its. */
	if (!text || !slot || slot->generation != call->note->generation)
		return 0;
	is_typed = what == TERMINAL_CALL_READ || what == TERMINAL_CALL_READV;
	/* Each phase has room of its own: so a workload cannot fill that of whoever enters it. */
	entries = &slot->entries[SENSOR_terminal * ENTRY_KINDS];
	room = entries[ENTRY_KEPT + phase] < settings.terminal_bytes
		       ? settings.terminal_bytes - entries[ENTRY_KEPT + phase]
		       : 0;
	if (!room && entries[ENTRY_CUT + phase])
		return 0;
	/* That there is more is told of the first that finds no room, whatever it is. */
	is_hidden = room && is_typed && !(BPF_CORE_READ(tty, termios.c_lflag) & TERMIOS_ECHO);
	text->left = call->result;
	text->taken = 0;
	text->room = room < TEXT_BYTES ? room : TEXT_BYTES;
	if (!is_hidden)
		take_text(call, what);
	taken = text->taken;
	/* What is hidden uses a little, too: else nothing would end it. */
	if (room)
		add(entries[ENTRY_KEPT + phase], is_hidden ? 1 : taken);
	else
		add(entries[ENTRY_CUT + phase], 1);
	fill_header(&text->sample.header, call->task, call->note->slot, call->note->generation, phase, SENSOR_terminal,
		    TERMINAL_TEXT);
	name_session(&text->sample.session, call->task, tty);
	text->sample.bytes = call->result;
	text->sample.kept = taken;
	text->sample.is_typed = is_typed;
	text->sample.is_hidden = is_hidden;
	bytes = taken;
	barrier_var(bytes);
	bytes &= TEXT_BYTES;
	if (bpf_ringbuf_output(&samples, &text->sample, sizeof(text->sample) + bytes, 0))
		count_lost_sample(call->note->slot, SENSOR_terminal);
	return 0;
}
