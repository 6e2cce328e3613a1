// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A compiler for the tests, which remembers what `gcc -M` printed and leaves all else to ccache.
 *
 * A make of minipxe asks the compiler what each source includes, as iPXE's makefiles do. ccache does
 * not remember the answers, so these took a sixth of the whole suite's time. An answer depends on the
 * compiler, its arguments, the source, and the names and contents of all headers of the tree. All of
 * that is the key. Where an answer depends on more, the compiler is always run.
 *
 * It is called by a compiler's name, in a directory "bin" of links to it that comes first in PATH. The
 * directory of ccache's compilers comes next, and is given as CCACHE_PROGRAMS when this is compiled.
 * Its own name is "ccache", so that romforge, too, knows that it is no compiler.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Set for what this program runs, so that it never runs itself. */
#define STARTED "ROMFORGE_TESTS_COMPILER"

typedef unsigned __int128 digest_t;

/* Like FNV-1a of 128 bits, but of eight bytes at once, with high bits brought down again. */
static const digest_t FNV_BASIS = (digest_t)0x6c62272e07bb0142ull << 64 | 0x62b821756295c58dull;
static const digest_t FNV_PRIME = (digest_t)0x1000000ull << 64 | 0x13bull;

static digest_t add(digest_t digest, const void *data, size_t length)
{
	const char *rest = data;
	while (length) {
		unsigned long long word = 0;
		size_t taken = length < sizeof word ? length : sizeof word;
		memcpy(&word, rest, taken);
		digest = (digest ^ word ^ taken << 56) * FNV_PRIME;
		digest ^= digest >> 67;
		rest += taken;
		length -= taken;
	}
	return digest;
}

/* With its terminator, so that the ends of strings count. */
static digest_t add_string(digest_t digest, const char *text)
{
	return add(digest, text, strlen(text) + 1);
}

/* Adds a file's content to *digest; false if it cannot be read. */
static int add_file(digest_t *digest, const char *path)
{
	char part[65536];
	ssize_t length;
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return 0;
	while ((length = read(file, part, sizeof part)) > 0)
		*digest = add(*digest, part, length);
	close(file);
	return length == 0;
}

static int is_header(const char *name)
{
	size_t length = strlen(name);
	return length > 2 && strcmp(name + length - 2, ".h") == 0;
}

/* BIN directories, which make writes, and what is hidden: whether a path leads through one of them. */
static int is_left_out(const char *path)
{
	while (*path) {
		size_t length = strcspn(path, "/");
		if (*path == '.' || strncmp(path, "bin-", 4) == 0)
			return 1;
		if (length == 3 && strncmp(path, "bin", 3) == 0)
			return 1;
		path += length;
		path += strspn(path, "/");
	}
	return 0;
}

/* Adds all headers below a directory, in whatever order they are found; false if one cannot be read. */
static int add_headers(digest_t *sum, const char *directory)
{
	int well = 1;
	struct dirent *entry;
	DIR *opened = opendir(directory);
	if (!opened)
		return 0;
	while (well && (entry = readdir(opened))) {
		char path[PATH_MAX];
		struct stat status;
		if (is_left_out(entry->d_name))
			continue;
		snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
		if (entry->d_type == DT_DIR) {
			well = add_headers(sum, path);
		} else if (entry->d_type != DT_REG && stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
			well = 0; /* a link to a directory, which may lead anywhere */
		} else if (is_header(entry->d_name)) {
			digest_t one = add_string(FNV_BASIS, path);
			well = add_file(&one, path);
			*sum += one;
		}
	}
	closedir(opened);
	return well;
}

/* Removes the directory of links to this program from PATH, which then leads to other compilers. */
static void leave_path(const char *own)
{
	char links[PATH_MAX + 8];
	char *path = strdup(getenv("PATH") ?: "/usr/bin:/bin");
	char *left = calloc(strlen(path) + 2, 1);
	snprintf(links, sizeof links, "%s/bin", own);
	for (char *rest = path, *directory; (directory = strsep(&rest, ":"));) {
		if (strcmp(directory, links) == 0)
			continue;
		strcat(left, ":");
		strcat(left, directory);
	}
	setenv("PATH", *left ? left + 1 : "", 1);
}

/* Whether a path leads to a program: this one, or ccache. */
static int is_program(const struct stat *status, const char *program)
{
	struct stat other;
	return stat(program, &other) == 0 && other.st_dev == status->st_dev &&
	       other.st_ino == status->st_ino;
}

/* The compiler of a name in PATH, which is neither this program nor ccache; false if there is none. */
static int find_compiler(const char *name, char found[PATH_MAX], struct stat *status)
{
	char ccache[PATH_MAX];
	char *path = strdup(getenv("PATH"));
	snprintf(ccache, sizeof ccache, "%s/%s", CCACHE_PROGRAMS, name);
	for (char *rest = path, *directory; (directory = strsep(&rest, ":"));) {
		snprintf(found, PATH_MAX, "%s/%s", directory, name);
		if (access(found, X_OK) != 0 || stat(found, status) != 0 || !S_ISREG(status->st_mode))
			continue;
		if (!is_program(status, "/proc/self/exe") && !is_program(status, ccache))
			return 1;
	}
	return 0;
}

static const char *const READ_BY_GCC[] = {
	"CPATH", "C_INCLUDE_PATH", "COMPILER_PATH", "DEPENDENCIES_OUTPUT", "GCC_EXEC_PREFIX",
	"SUNPRO_DEPENDENCIES",
};

/* Whether an argument names files that are not in the key. */
static int leads_elsewhere(const char *word)
{
	if (strcmp(word, "-include") == 0)
		return 0;
	return word[0] == '@' || strncmp(word, "-I/", 3) == 0 || strncmp(word, "-i", 2) == 0;
}

/* The key of an answer in *digest; false if the answer may depend on more than its key. */
static int find_key(digest_t *digest, const char *compiler, const struct stat *status, char **words)
{
	const char *source = NULL;
	digest_t headers = 0;
	*digest = add_string(FNV_BASIS, compiler);
	*digest = add(*digest, &status->st_ino, sizeof status->st_ino);
	*digest = add(*digest, &status->st_size, sizeof status->st_size);
	*digest = add(*digest, &status->st_mtim, sizeof status->st_mtim);
	for (size_t i = 0; i < sizeof READ_BY_GCC / sizeof *READ_BY_GCC; i++)
		if (getenv(READ_BY_GCC[i]))
			return 0;
	for (; *words; words++) {
		source = *words;
		if (leads_elsewhere(source))
			return 0;
		/* the directory of the build, which is in no answer */
		if (strncmp(source, "-ffile-prefix-map=", 18) != 0)
			*digest = add_string(*digest, source);
	}
	if (!source || source[0] == '-' || source[0] == '/' || !add_file(digest, source))
		return 0;
	if (!add_headers(&headers, "."))
		return 0;
	*digest = add(*digest, &headers, sizeof headers);
	return 1;
}

/* Whether an answer, which this takes apart, names only the source and headers of the tree. */
static int is_of_key(char *answer, const char *source)
{
	char *rest = strchr(answer, ':');
	if (!rest)
		return 0;
	rest++;
	for (char *word; (word = strsep(&rest, " \\\n"));) {
		size_t length = strlen(word);
		if (length && word[length - 1] == ':') /* of -MP */
			word[--length] = 0;
		if (length == 0 || strcmp(word, source) == 0)
			continue;
		if (!is_header(word) || word[0] == '/' || is_left_out(word))
			return 0;
	}
	return 1;
}

/* All that a file holds, with a terminator. */
static char *content(int file, size_t *length)
{
	struct stat status;
	if (fstat(file, &status) != 0)
		return NULL;
	char *text = malloc(status.st_size + 1);
	ssize_t got = pread(file, text, status.st_size, 0);
	if (got != status.st_size)
		return NULL;
	text[got] = 0;
	*length = got;
	return text;
}

static void write_all(int file, const char *text, size_t length)
{
	while (length) {
		ssize_t wrote = write(file, text, length);
		if (wrote < 0 && errno != EINTR)
			exit(1);
		text += wrote > 0 ? wrote : 0;
		length -= wrote > 0 ? wrote : 0;
	}
}

/* Runs the compiler, and passes on what it prints; returns its status as a shell gives it. */
static int run(const char *compiler, char **words, char **answer, size_t *length, int *warned)
{
	int outputs[2] = { memfd_create("output", MFD_CLOEXEC), memfd_create("errors", MFD_CLOEXEC) };
	char *errors;
	size_t error_length;
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		dup2(outputs[0], 1);
		dup2(outputs[1], 2);
		execv(compiler, words);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		exit(1);
	*answer = content(outputs[0], length);
	errors = content(outputs[1], &error_length);
	if (!*answer || !errors)
		exit(1);
	write_all(2, errors, error_length);
	write_all(1, *answer, *length);
	*warned = error_length != 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* A file appears whole, or not at all. Where it cannot be written, the answer is not kept. */
static void keep(const char *path, const char *answer, size_t length)
{
	char new[PATH_MAX + 80];
	snprintf(new, sizeof new, "%s.%d", path, getpid());
	int file = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (file < 0)
		return;
	int well = write(file, answer, length) == (ssize_t)length;
	if (close(file) != 0 || !well || rename(new, path) != 0)
		unlink(new);
}

/* Whether a compiler is asked for what a source includes, to its standard output. */
static int is_asked(char **words)
{
	int asked = 0;
	for (; *words; words++) {
		asked |= strcmp(*words, "-M") == 0;
		if (strcmp(*words, "-o") == 0 || strcmp(*words, "-MF") == 0)
			return 0;
	}
	return asked;
}

int main(int argc, char **argv)
{
	char own[PATH_MAX], compiler[PATH_MAX], kept[PATH_MAX + 64];
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
	struct stat status;
	digest_t key;
	(void)argc;
	if (length < 0)
		return 1;
	own[length] = 0;
	*strrchr(own, '/') = 0;
	leave_path(own);
	int again = getenv(STARTED) != NULL; /* by ccache, where a directory has a link to this program */
	setenv(STARTED, "1", 1);
	if (!is_asked(argv + 1) && !again) {
		snprintf(compiler, sizeof compiler, "%s/%s", CCACHE_PROGRAMS, name);
		execv(compiler, argv);
		perror(compiler);
		return 127;
	}
	if (!find_compiler(name, compiler, &status)) {
		fprintf(stderr, "%s: not found\n", name);
		return 127;
	}
	argv[0] = compiler; /* from which it finds its own programs */
	if (again || !find_key(&key, compiler, &status, argv + 1)) {
		execv(compiler, argv);
		perror(compiler);
		return 127;
	}
	snprintf(kept, sizeof kept, "%s/answers/%016llx%016llx", own,
		 (unsigned long long)(key >> 64), (unsigned long long)key);
	char *answer;
	size_t answer_length;
	int file = open(kept, O_RDONLY | O_CLOEXEC);
	if (file >= 0) {
		answer = content(file, &answer_length);
		if (answer) {
			write_all(1, answer, answer_length);
			return 0;
		}
	}
	int warned;
	int ended = run(compiler, argv, &answer, &answer_length, &warned);
	if (ended == 0 && !warned) {
		char *words = strdup(answer);
		if (is_of_key(words, argv[argc - 1]))
			keep(kept, answer, answer_length);
	}
	return ended;
}
