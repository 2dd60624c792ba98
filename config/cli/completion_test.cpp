#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "config/cli/test_cli.hpp"

namespace sluice::config {

namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST_F(cli, completes_itself) {
  EXPECT_EQ(run({"completion", "bash"}), 0);
  const std::string script = write("completion.bash", out_);
  // What would be typed, and what is offered for its last word. The function stands for the program.
  for (const auto& [typed, offered] :
       std::vector<std::pair<std::string, std::string>>{{"session ki", "kick"},
                                                        {"session kick \"\"", "vm1 disk"},
                                                        {"session kick --j", "--json"},
                                                        {"unit resize d", "disk"},
                                                        {"help ser", "serve"},
                                                        {"check \"\"", ""},  // files are
                                                        {"check --p", "--probe"},
                                                        {"completion z", "zsh"},
                                                        {"complet", "completion"}}) {
    const std::string command = "bash -c 'sluice() { echo vm1; echo disk; }; . " + script + "; COMP_WORDS=(sluice " +
                                typed + "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _sluice; echo ${COMPREPLY[@]}' > " +
                                (directory_ / "words").string();
    ASSERT_EQ(std::system(command.c_str()), 0);
    std::string words;
    std::ifstream answer(directory_ / "words");
    std::getline(answer, words);
    EXPECT_EQ(words, offered) << typed;
  }
  EXPECT_EQ(run({"completion", "csh"}), 1);
}

/// What a shell prints for a script; none where that shell is not there.
std::optional<std::string> printed_by(const std::string& shell, const std::string& options, const std::string& script) {
  if (std::system(("command -v " + shell + " >/dev/null").c_str()) != 0) return std::nullopt;
  std::string out;
  FILE* const from = ::popen((shell + " " + options + " " + script + " 2>&1").c_str(), "r");
  char part[4096];
  for (std::size_t got; (got = std::fread(part, 1, sizeof part, from)) > 0;) out.append(part, got);
  ::pclose(from);
  return out;
}

TEST_F(cli, has_a_file_that_zsh_finds_and_completes_by) {
  EXPECT_EQ(run({"completion", "zsh"}), 0);
  EXPECT_THAT(out_, StartsWith("#compdef sluice\n")) << "else compinit leaves the file alone";
  const std::string script = write("_sluice", out_);
  // The functions stand for the program and for those of zsh's completion, and print what they are given.
  const auto complete = [&](const std::string& words, const std::string& prefix) {
    return printed_by(
        "zsh", "-f",
        write("try.zsh",
              "sluice() { print vm1; print disk }; compdef() { : }\n"
              "_describe() { print -l -- ${(P)@[-1]} }; _files() { print FILES }\n"
              "compadd() { print -l -- ${(P)2} }\n. " +
                  script + "\nwords=(sluice " + words + " '')\nCURRENT=$#words\nPREFIX=" + prefix + "\n_sluice\n"));
  };
  const auto first = complete("", "");
  if (!first) GTEST_SKIP() << "there is no zsh";
  EXPECT_THAT(*first, HasSubstr("\nsession:sessions of initiators\n"));
  EXPECT_THAT(*first, Not(HasSubstr("kick:")));
  EXPECT_THAT(*complete("session", ""), AllOf(HasSubstr("kick:end a session"), Not(HasSubstr("serve:"))));
  EXPECT_EQ(*complete("session kick", ""), "vm1\ndisk\n");
  EXPECT_THAT(*complete("session kick", "--"), HasSubstr("--address:all connections of an address"));
  EXPECT_EQ(*complete("check", ""), "FILES\n");
  EXPECT_EQ(*complete("completion", ""), "bash\nzsh\nfish\n");
  EXPECT_THAT(*complete("ls", ""), HasSubstr("--json:print JSON"));
}

TEST_F(cli, has_a_file_that_fish_completes_by) {
  EXPECT_EQ(run({"completion", "fish"}), 0);
  EXPECT_THAT(out_, HasSubstr("__sluice_at \" session\"' -f -a 'kick'"));
  const std::string script = write("sluice.fish", out_);
  const auto complete = [&](const std::string& line) {
    return printed_by("fish", "--no-config",
                      write("try.fish", "function sluice; echo vm1; echo disk; end\nsource " + script +
                                            "\ncomplete -C 'sluice " + line + "'\n"));
  };
  const auto first = complete("");
  if (!first) GTEST_SKIP() << "there is no fish";
  EXPECT_THAT(*first, AllOf(HasSubstr("session\tsessions of initiators"), Not(HasSubstr("kick"))));
  EXPECT_THAT(*complete("session "), AllOf(HasSubstr("kick\tend a session"), Not(HasSubstr("serve"))));
  EXPECT_THAT(*complete("session kick "), AllOf(HasSubstr("vm1\n"), Not(HasSubstr("kick\t"))));
  EXPECT_THAT(*complete("session kick --a"), HasSubstr("--address\tall connections of an address"));
  EXPECT_EQ(*complete("ls --a"), "") << "that is an option of session kick";
  EXPECT_THAT(*complete("completion z"), HasSubstr("zsh"));
}

}  // namespace

}  // namespace sluice::config
