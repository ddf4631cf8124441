# What libseccomp makes of profiles, as runc hands them to it; answers on standard output, one list for each profile: for each
# call what its filter returns for each list of arguments. null where libseccomp refuses a rule.
import json
import os
import struct
import sys
import tempfile

import seccomp

ARCH = {"x86_64": 0xC000003E, "x86": 0x40000003, "x32": 0xC000003E}
OPERATORS = {
    "SCMP_CMP_NE": seccomp.NE,
    "SCMP_CMP_LT": seccomp.LT,
    "SCMP_CMP_LE": seccomp.LE,
    "SCMP_CMP_EQ": seccomp.EQ,
    "SCMP_CMP_GE": seccomp.GE,
    "SCMP_CMP_GT": seccomp.GT,
    "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ,
}


def action(name, errno):
    if name == "SCMP_ACT_ERRNO":
        return seccomp.ERRNO(1 if errno is None else errno)
    return {"SCMP_ACT_ALLOW": seccomp.ALLOW, "SCMP_ACT_KILL": seccomp.KILL, "SCMP_ACT_LOG": seccomp.LOG}[name]


def compare(arg):
    two = arg["valueTwo"] if arg["op"] == "SCMP_CMP_MASKED_EQ" else 0
    return seccomp.Arg(arg["index"], OPERATORS[arg["op"]], arg["value"], two)


def program(profile):
    default = action(profile["defaultAction"], profile["defaultErrnoRet"])
    loaded = seccomp.SyscallFilter(default)
    for arch in profile["architectures"]:
        if arch != "SCMP_ARCH_X86_64":
            loaded.add_arch(getattr(seccomp.Arch, arch.removeprefix("SCMP_ARCH_")))
    for rule in profile["syscalls"]:
        act = action(rule["action"], rule.get("errnoRet"))
        if act == default:
            continue
        args = [compare(arg) for arg in rule.get("args", [])]
        indexes = [arg["index"] for arg in rule.get("args", [])]
        for name in rule["names"]:
            if name.startswith("a_call_that"):
                continue
            if len(set(indexes)) < len(indexes):
                for arg in args:
                    loaded.add_rule(act, name, arg)
            else:
                loaded.add_rule(act, name, *args)
    with tempfile.TemporaryFile() as file:
        loaded.export_bpf(file)
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        code = os.read(file.fileno(), 1 << 20)
    return [struct.unpack("<HBBI", code[at : at + 8]) for at in range(0, len(code), 8)]


def run(instructions, data):
    accumulator, at = 0, 0
    while True:
        code, yes, no, value = instructions[at]
        at += 1
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif code == 0x54:
            accumulator &= value
        elif code == 0x05:
            at += value
        elif code == 0x15:
            at += yes if accumulator == value else no
        elif code == 0x25:
            at += yes if accumulator > value else no
        elif code == 0x35:
            at += yes if accumulator >= value else no
        elif code == 0x45:
            at += yes if accumulator & value else no
        elif code == 0x06:
            return value
        else:
            raise ValueError(f"instruction {code:#x}")


question = json.load(sys.stdin)
answers = []
for profile in question["profiles"]:
    try:
        instructions = program(profile)
    except (OSError, RuntimeError):
        answers.append(None)
        continue
    answer = []
    for arch, number, _ in question["calls"]:
        number |= (1 << 30) if arch == "x32" else 0
        each = [struct.pack("<IIQ6Q", number, ARCH[arch], 0, *args) for args in question["arguments"]]
        answer.append([run(instructions, data) for data in each])
    answers.append(answer)
json.dump(answers, sys.stdout)
