# A thin front for meson. `make demo` and `make test` do everything from a fresh checkout on.
#   make test SANITIZE=address,undefined   builds and tests with sanitizers, in build-asan
#   make install [PREFIX=/usr] [DESTDIR=…]
#   make notebooks stores anew what the notebooks print and draw of results/demo
#   make deb       a Debian package of it, in the build directory
BUILD := $(if $(SANITIZE),$(if $(findstring thread,$(SANITIZE)),build-tsan,build-asan),build)
SETUP := $(if $(SANITIZE),-Db_sanitize=$(SANITIZE) -Db_lundef=false)
SLOWER := $(if $(SANITIZE),--timeout-multiplier=5)
export UBSAN_OPTIONS := halt_on_error=1:print_stacktrace=1

.NOTPARALLEL:
.PHONY: build packages test-packages bench-packages demo test bench install deb format docs notebooks clean

build: packages
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) $(SETUP)
	@ninja -C $(BUILD)

packages:
	@sh .ci/packages build

test-packages:
	@sh .ci/packages test

demo: build
	@sh .ci/demo $(BUILD)/src/cli/qkscope

test: test-packages build
	@sh .ci/test $(BUILD) $(SLOWER)

bench-packages:
	@sh .ci/packages bench

bench: bench-packages build
	@/usr/bin/python3 tests/bench/bench.py $(BUILD)

install: build
	@$(if $(PREFIX),meson configure $(BUILD) -Dprefix=$(PREFIX))
	@meson install -C $(BUILD)

deb: build
	@sh .ci/packages deb
	@sh .ci/deb $(BUILD)

format:
	@find src analyses tests -name '*.[ch]' -exec clang-format-14 -i {} +

docs: build
	@sh .ci/docs $(BUILD)/src/cli/qkscope docs
	@sh .ci/gallery pictures $(BUILD)/src/cli/qkscope results/demo/run.h5 docs/figures
	@/usr/bin/python3 tests/docs/pages.py refresh $(BUILD)/src/cli/qkscope . README.md docs/tutorial.md

notebooks: test-packages build
	@/usr/bin/python3 tests/notebooks/run.py refresh . $(BUILD)/src/cli/qkscope

clean:
	@rm -rf build build-asan build-tsan
