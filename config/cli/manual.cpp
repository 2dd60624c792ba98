#include "config/cli/manual.hpp"

#include <cctype>

#include "config/cli/commands.hpp"
#include "config/cli/misread.hpp"
#include "config/schema/key_pages.hpp"

namespace sluice::config {
namespace {

/// What a manual is made of. Text may have words `in backticks`: those are typed as they stand.
class page {
 public:
  virtual ~page() = default;
  virtual void title(const std::string& name, int section, const std::string& version) = 0;
  virtual void section(const std::string& name) = 0;
  virtual void command(const std::string& usage) = 0;
  virtual void paragraph(const std::string& text) = 0;
  /// Items of one list follow each other.
  virtual void item(const std::string& term, const std::string& text) = 0;
  virtual void end_list() = 0;

  std::string out;
};

class markdown_page final : public page {
  void title(const std::string& name, int section, const std::string&) override {
    out += "# " + name + "(" + std::to_string(section) + ")\n\n";
  }
  void section(const std::string& name) override { out += "## " + name + "\n\n"; }
  void command(const std::string& usage) override { out += "### " + usage + "\n\n"; }
  void paragraph(const std::string& text) override { out += text + "\n\n"; }
  void item(const std::string& term, const std::string& text) override { out += "- " + term + ": " + text + "\n"; }
  void end_list() override { out += "\n"; }
};

class man_page final : public page {
  void title(const std::string& name, int section, const std::string& version) override {
    const char* chapter = section == 1 ? "User Commands" : "File Formats";
    out += ".TH " + name + " " + std::to_string(section) + " \"\" \"sluice " + version + "\" \"" + chapter + "\"\n";
  }
  void section(const std::string& name) override {
    out += ".SH ";
    for (const char c : name) out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    out += '\n';
  }
  void command(const std::string& usage) override { out += ".SS " + escaped(usage) + "\n"; }
  void paragraph(const std::string& text) override { out += ".PP\n" + escaped(text) + "\n"; }
  void item(const std::string& term, const std::string& text) override {
    out += ".TP\n" + escaped(term) + "\n" + escaped(text) + "\n";
  }
  void end_list() override {}

  /// A line that is no request, whose hyphens can be copied into a shell.
  static std::string escaped(const std::string& text) {
    std::string line = text.starts_with('.') || text.starts_with('\'') ? "\\&" : "";
    bool typed = false;
    for (const char c : text) {
      if (c == '`')
        line += (typed = !typed) ? "\\fB" : "\\fR";
      else if (c == '\\')
        line += "\\e";
      else if (c == '-')
        line += "\\-";
      else
        line += c;
    }
    return line;
  }
};

std::string usage_of(const CLI::App& app, const std::string& path) {
  std::string usage = "sluice" + path;
  for (const CLI::Option* option : app.get_options())
    if (option->get_positional())
      usage += " " + (option->get_required() ? option->get_type_name() : "[" + option->get_type_name() + "]");
  return usage;
}

void describe_option(page& to, const CLI::Option& option) {
  std::string term = "`--" + option.get_lnames().front();
  if (option.get_items_expected_max() > 0) term += " " + option.get_type_name();
  std::string text = option.get_description();
  if (!option.get_default_str().empty()) text += " (default: `" + option.get_default_str() + "`)";
  if (option.get_required()) text += "; required";
  to.item(term + "`", text);
}

void describe(page& to, const CLI::App& app, const std::string& path) {
  if (!path.empty()) {
    to.command(usage_of(app, path));
    to.paragraph(app.get_description() + ".");
    for (const CLI::Option* option : app.get_options())
      if (!option->get_positional() && option->get_lnames().front() != "help") describe_option(to, *option);
    if (const std::string example = example_of(app); !example.empty()) to.item("example", "`" + example + "`");
    to.end_list();
  }
  for (const CLI::App* command : commands_of(app)) describe(to, *command, path + " " + command->get_name());
}

std::string write(page& to, const cli_hooks& hooks) {
  command_tree commands(hooks);
  to.title("sluice", 1, hooks.version);
  to.section("Name");
  to.paragraph("sluice - " + commands.app().get_description());
  to.section("Synopsis");
  to.paragraph("`sluice COMMAND [OPTION...]`");
  to.section("Commands");
  describe(to, commands.app(), "");
  to.section("Exit status");
  to.item("0", "done");
  to.item("2", "the configuration is refused; nothing was started or changed");
  to.item("1", "everything else, with a sentence on standard error");
  to.end_list();
  to.section("Environment");
  to.item("`SLUICE_CONTROL`", "the control socket, where `--control` does not say");
  to.item("`NOTIFY_SOCKET`", "where `sluice serve` tells systemd that it is ready, reloading or stopping");
  to.end_list();
  to.section("See also");
  to.paragraph("`sluice.toml`(5), docs/configuration.md, docs/operations.md, docs/control.md");
  return to.out;
}

void write_keys(page& to, const cli_hooks& hooks) {
  to.title("sluice.toml", 5, hooks.version);
  to.section("Name");
  to.paragraph("sluice.toml - what a sluice gateway is");
  to.section("Description");
  to.paragraph(
      "A file in TOML 1.0: the gateway itself, stores (where bytes live), units (SCSI devices over stores) and targets "
      "with their ports and access tables. `sluice check FILE` says what is wrong with one, `sluice plan FILE` and "
      "`sluice apply FILE` show and make the difference to what runs. Relative paths are relative to the file.");
  to.section("Keys");
  for (const key_table& table : key_tables(hooks.known)) {
    to.command(table.title);
    to.paragraph(table.intro);
    for (const key& k : *table.keys) {
      const std::string otherwise = default_of(k);
      to.item("`" + k.name + "`", k.help + ". Takes " + allowed_by(k) +
                                      (k.required            ? "; required"
                                       : otherwise == "none" ? std::string()
                                                             : "; default: " + otherwise));
    }
    to.end_list();
  }
  to.section("See also");
  to.paragraph("`sluice`(1), docs/configuration.md, docs/tiers.md, docs/ceph.md");
}

}  // namespace

std::string keys_for_man(const cli_hooks& hooks) {
  man_page page;
  write_keys(page, hooks);
  return page.out;
}

std::string manual_page(const cli_hooks& hooks) {
  markdown_page page;
  std::string text = write(page, hooks);
  text.pop_back();  // one newline ends the file
  return text;
}

std::string manual_for_man(const cli_hooks& hooks) {
  man_page page;
  return write(page, hooks);
}

}  // namespace sluice::config
