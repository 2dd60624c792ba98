// Runs a fuzzer's entry point over its corpus, so that every finding stays a test in builds without libFuzzer; then
// over seeded mutations of the corpus for a bounded number of rounds.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
  std::vector<std::vector<std::uint8_t>> corpus{{}};
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) continue;
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      std::ifstream in(entry.path(), std::ios::binary);
      corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
  }
  for (const auto& input : corpus) LLVMFuzzerTestOneInput(input.data(), input.size());
  std::mt19937_64 chance(1);
  constexpr int rounds = 20000;
  for (int i = 0; i < rounds; ++i) {
    std::vector<std::uint8_t> input = corpus[chance() % corpus.size()];
    if (chance() % 4 == 0) input.resize(chance() % 512);
    for (int flips = static_cast<int>(chance() % 8); flips > 0 && !input.empty(); --flips)
      input[chance() % input.size()] = static_cast<std::uint8_t>(chance());
    if (chance() % 8 == 0 && !input.empty()) input.resize(chance() % input.size());
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%zu inputs and %d mutations: clean\n", corpus.size(), rounds);
}
