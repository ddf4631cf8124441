/* empty_lsm HOOK=ID...: attaches an LSM program that does nothing to each hook, whose function has this number in the kernel's
 * BTF. Prints "ready" and holds them until standard input ends. */
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bpf(int command, union bpf_attr *attributes)
{
	return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static int attach(const char *argument)
{
	const char *id = strchr(argument, '=');
	/* r0 = 0; exit */
	struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr load = {}, open = {};

	if (!id)
		return -1;
	load.prog_type = BPF_PROG_TYPE_LSM;
	load.expected_attach_type = BPF_LSM_MAC;
	load.insns = (unsigned long)program;
	load.insn_cnt = sizeof(program) / sizeof(*program);
	load.license = (unsigned long)"GPL";
	load.attach_btf_id = atoi(id + 1);
	strcpy(load.prog_name, "empty");
	open.raw_tracepoint.prog_fd = bpf(BPF_PROG_LOAD, &load);
	if ((int)open.raw_tracepoint.prog_fd < 0)
		return -1;
	return bpf(BPF_RAW_TRACEPOINT_OPEN, &open);
}

int main(int argc, char **argv)
{
	char line[16];

	for (int at = 1; at < argc; at++) {
		if (attach(argv[at]) < 0) {
			perror(argv[at]);
			return 1;
		}
	}
	puts("ready");
	fflush(stdout);
	while (read(0, line, sizeof(line)) > 0)
		;
	return 0;
}
