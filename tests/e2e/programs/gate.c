/* gate FIFO PROGRAM ARG…: opens FIFO for reading, which blocks until a writer comes, and then execs PROGRAM. It has no
 * C library, so that before PROGRAM it makes three calls and no other: its own exec, openat, execve. */
#if defined(__x86_64__)
#define OPENAT 257
#define EXECVE 59
#define EXIT 60
static long call(long number, long a, long b, long c, long d)
{
	long result;
	register long r10 __asm__("r10") = d;

	__asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
	return result;
}
__asm__(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall begin\n");
#elif defined(__aarch64__)
#define OPENAT 56
#define EXECVE 221
#define EXIT 93
static long call(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}
__asm__(".globl _start\n_start: mov x0, sp\nbl begin\n");
#endif

#define O_CLOEXEC 02000000

__attribute__((used, noreturn)) static void begin(long *stack)
{
	long argc = stack[0];
	char **argv = (char **)(stack + 1), **environment = argv + argc + 1;

	if (argc >= 3 && call(OPENAT, -100, (long)argv[1], O_CLOEXEC, 0) >= 0)
		call(EXECVE, (long)argv[2], (long)(argv + 2), (long)environment, 0);
	call(EXIT, 127, 0, 0, 0);
	__builtin_unreachable();
}
