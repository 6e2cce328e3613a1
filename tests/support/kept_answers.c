// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A compiler for the tests, which remembers what it gave before.
 *
 * A make of minipxe asks the compiler what each source includes, as iPXE's makefiles do, and
 * preprocesses each assembler source. ccache does not remember these answers, which took a sixth of
 * the whole suite's time. It remembers objects, but takes three times as long to give one as this
 * program does. An answer depends on the compiler, its arguments, the source, and the names and
 * contents of all headers of the tree. All of that is the key. Where an answer depends on more, or the
 * key is a new one, objects come from ccache, and all else from the compiler.
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
#include <time.h>
#include <unistd.h>

/* Set for what this program runs, so that it never runs itself. */
#define STARTED "ROMFORGE_TESTS_COMPILER"

#define DAY (24 * 60 * 60)

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

static int ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);
	return length > end_length && strcmp(text + length - end_length, end) == 0;
}

/* Assembler sources include each other. */
static int is_header(const char *name)
{
	return ends_with(name, ".h") || ends_with(name, ".S");
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

/* What a compiler is asked for, and what of it counts. */
struct request {
	enum { OTHER, PRINTED, OBJECT, PROGRAM } kind; /* PRINTED: to standard output */
	int compiles;
	int lists; /* what a source includes */
	const char *source;
	const char *output;
};

/* Whether an argument names files that are not in the key. */
static int leads_elsewhere(const char *word)
{
	if (strcmp(word, "-include") == 0)
		return 0;
	return word[0] == '@' || strncmp(word, "-I/", 3) == 0 || strncmp(word, "-i", 2) == 0;
}

/* Whether an option takes the build's directory out of objects. */
static int is_prefix_map(const char *word)
{
	char option[PATH_MAX + 64], directory[PATH_MAX];
	if (!getcwd(directory, sizeof directory))
		return 0;
	snprintf(option, sizeof option, "-ffile-prefix-map=%s=.", directory);
	return strcmp(word, option) == 0;
}

/* What the words of a command ask for. */
static struct request understand(char **words)
{
	struct request request = { OTHER, 0, 0, NULL, NULL };
	int elsewhere = 0, preprocesses = 0, own_headers = 0, mapped = 0, nowhere = 0;
	int debugs = 0, embeds = 0;
	for (; *words; words++) {
		const char *word = *words;
		if (strcmp(word, "-M") == 0) {
			request.lists = 1;
		} else if (strcmp(word, "-E") == 0) {
			preprocesses = 1;
		} else if (strcmp(word, "-c") == 0) {
			request.compiles = 1;
		} else if (strcmp(word, "-o") == 0 && words[1]) {
			request.output = *++words;
		} else if (strcmp(word, "-MF") == 0 || strcmp(word, "-MD") == 0 || strcmp(word, "-MMD") == 0) {
			elsewhere = 1;
		} else if (strcmp(word, "-nostdinc") == 0) {
			own_headers = 1;
		} else if (strcmp(word, "-fno-working-directory") == 0 || strcmp(word, "-dM") == 0) {
			nowhere = 1; /* what is preprocessed does not tell its directory */
		} else if (strncmp(word, "-g", 2) == 0) {
			debugs = 1;
		} else if (strncmp(word, "-DFILES=", 8) == 0) {
			embeds = 1; /* files of which the compiler tells nobody, in minipxe */
		} else if (is_prefix_map(word)) {
			mapped = 1;
		} else if (word[0] != '-') {
			request.source = word; /* the last word that may be one */
		}
	}
	if (elsewhere || embeds || !request.source || request.source[0] == '/')
		return request;
	if (request.compiles) {
		int known = ends_with(request.source, ".c") && own_headers && mapped;
		if (known && !request.lists && !preprocesses && request.output && ends_with(request.output, ".o"))
			request.kind = OBJECT;
	} else if (request.lists || (preprocesses && own_headers && nowhere)) {
		if (!request.output)
			request.kind = PRINTED;
	} else if (!preprocesses && !debugs && request.output && ends_with(request.source, ".c")) {
		request.kind = PROGRAM;
	}
	return request;
}

/* Adds the state of Debian's packages, which have the system's headers and libraries. */
static int add_packages(digest_t *digest)
{
	struct stat status;
	if (stat("/var/lib/dpkg/status", &status) != 0)
		return 0;
	*digest = add(*digest, &status.st_ino, sizeof status.st_ino);
	*digest = add(*digest, &status.st_size, sizeof status.st_size);
	*digest = add(*digest, &status.st_mtim, sizeof status.st_mtim);
	return 1;
}

/* The key of an answer in *digest; false if the answer may depend on more than its key. */
static int find_key(
	digest_t *digest, const char *compiler, const struct stat *status, char **words,
	const struct request *request)
{
	digest_t headers = 0;
	*digest = add_string(FNV_BASIS, compiler);
	*digest = add(*digest, &status->st_ino, sizeof status->st_ino);
	*digest = add(*digest, &status->st_size, sizeof status->st_size);
	*digest = add(*digest, &status->st_mtim, sizeof status->st_mtim);
	for (size_t i = 0; i < sizeof READ_BY_GCC / sizeof *READ_BY_GCC; i++)
		if (getenv(READ_BY_GCC[i]))
			return 0;
	for (; *words; words++) {
		if (leads_elsewhere(*words))
			return 0;
		/* neither the object's name nor the build's directory is in any answer */
		if (*words != request->output && strncmp(*words, "-ffile-prefix-map=", 18) != 0)
			*digest = add_string(*digest, *words);
	}
	if (!add_file(digest, request->source) || !add_headers(&headers, "."))
		return 0;
	*digest = add(*digest, &headers, sizeof headers);
	return request->kind != PROGRAM || add_packages(digest);
}

/* Whether a list of what a source includes, which this takes apart, has only files of the key. */
static int is_of_key(char *answer, const struct request *request)
{
	char *rest = strchr(answer, ':');
	if (!rest)
		return 0;
	rest++;
	for (char *word; (word = strsep(&rest, " \\\n"));) {
		size_t length = strlen(word);
		if (length && word[length - 1] == ':') /* of -MP */
			word[--length] = 0;
		if (length == 0 || strcmp(word, request->source) == 0)
			continue;
		if (request->kind == PROGRAM && strncmp(word, "/usr/", 5) == 0)
			continue; /* of a package */
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

/* False if it cannot be written. */
static int write_all(int file, const char *text, size_t length)
{
	while (length) {
		ssize_t wrote = write(file, text, length);
		if (wrote < 0 && errno != EINTR)
			return 0;
		text += wrote > 0 ? wrote : 0;
		length -= wrote > 0 ? wrote : 0;
	}
	return 1;
}

/* Runs a compiler and passes on what it prints; returns its status as a shell gives it. */
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
	if (!*answer || !errors || !write_all(2, errors, error_length) || !write_all(1, *answer, *length))
		exit(1);
	*warned = error_length != 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* What a file of a name holds, or NULL. */
static char *content_of(const char *path, size_t *length)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	char *text = file < 0 ? NULL : content(file, length);
	if (file >= 0)
		close(file);
	return text;
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

/* Gives what was kept; false if there is nothing, or it cannot be written. */
static int give(const struct request *request, const char *kept)
{
	size_t length;
	struct stat status;
	char *answer = content_of(kept, &length);
	if (!answer)
		return 0;
	if (stat(kept, &status) == 0 && status.st_mtime < time(NULL) - DAY)
		utimensat(AT_FDCWD, kept, NULL, 0); /* it is used: see compilers.py */
	if (request->kind == PRINTED)
		return write_all(1, answer, length) || (exit(1), 0);
	unlink(request->output); /* which may be a link to another tree's */
	mode_t mode = request->kind == PROGRAM ? 0777 : 0666;
	int file = open(request->output, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (file < 0)
		return 0;
	int well = write_all(file, answer, length);
	return close(file) == 0 && well;
}

/* Has an answer made, and keeps it if it depends on nothing but its key; returns the exit status. */
static int make(
	const struct request *request, const char *kept, const char *program, char **words, int count)
{
	char list[PATH_MAX + 96];
	char *added[] = { "-MD", "-MF", list, "-MT", "it" };
	char *all[count + 6];
	char *answer, *includes;
	size_t length, list_length;
	int warned;
	/* ccache then takes the list of headers instead of what a preprocessor prints */
	setenv("CCACHE_DEPEND", "1", 1);
	snprintf(list, sizeof list, "%s.%d.d", kept, getpid());
	memcpy(all, words, count * sizeof *words);
	memcpy(all + count, added, sizeof added);
	all[count + 5] = NULL;
	int status = run(program, request->lists ? words : all, &answer, &length, &warned);
	includes = request->lists ? strdup(answer) : content_of(list, &list_length);
	if (!request->lists)
		unlink(list);
	if (status != 0 || warned || !includes || !is_of_key(includes, request))
		return status;
	if (request->kind != PRINTED)
		answer = content_of(request->output, &length);
	if (answer)
		keep(kept, answer, length);
	return status;
}

/* Becomes another program; returns only where that fails. */
static int start(const char *program, char **words)
{
	execv(program, words);
	perror(program);
	return 127;
}

int main(int argc, char **argv)
{
	char own[PATH_MAX], compiler[PATH_MAX], ccache[PATH_MAX], kept[PATH_MAX + 64];
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
	struct stat status;
	digest_t key;
	if (length < 0)
		return 1;
	own[length] = 0;
	*strrchr(own, '/') = 0;
	leave_path(own);
	int again = getenv(STARTED) != NULL; /* by ccache, where a directory has a link to this program */
	setenv(STARTED, "1", 1);
	snprintf(ccache, sizeof ccache, "%s/%s", CCACHE_PROGRAMS, name);
	struct request request = understand(argv + 1);
	if (!find_compiler(name, compiler, &status)) {
		fprintf(stderr, "%s: not found\n", name);
		return 127;
	}
	const char *program = request.compiles && !again ? ccache : compiler;
	argv[0] = (char *)program; /* from which a compiler finds its own programs */
	if (again || request.kind == OTHER || !find_key(&key, compiler, &status, argv + 1, &request))
		return start(program, argv);
	snprintf(kept, sizeof kept, "%s/answers/%016llx%016llx", own,
		 (unsigned long long)(key >> 64), (unsigned long long)key);
	if (give(&request, kept))
		return 0;
	return make(&request, kept, program, argv, argc);
}
