// Expressions as text: Python-readable, and LaTeX. One common denominator per polynomial, leading term first.
#include <algorithm>
#include <array>

#include "expr_arena.hpp"

namespace flopcore {
namespace {

using Arena = ExprStore::Arena;

constexpr std::size_t kMaxText = std::size_t{1} << 24;
// Words that cannot be dim names in Python text: keywords, and the functions our own text uses.
constexpr std::array<std::string_view, 40> kReserved = {
    "False",    "None",   "True",  "and",  "as",     "assert",   "async",   "await", "break", "class",
    "continue", "def",    "del",   "elif", "else",   "except",   "finally", "for",   "from",  "global",
    "if",       "import", "in",    "is",   "lambda", "nonlocal", "not",     "or",    "pass",  "raise",
    "return",   "try",    "while", "with", "yield",  "dim",      "min",     "max",   "sum",   "Fraction"};

bool is_identifier(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    if (!letter(name[0]) || std::ranges::find(kReserved, name) != kReserved.end()) return false;
    return std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

// dim('...') with the escapes of a Python string.
std::string quoted(std::string_view name) {
    std::string text = "dim('";
    constexpr std::string_view kHex = "0123456789abcdef";
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\'' || c == '\\') {
            text += '\\';
            text += c;
        } else if (byte < 0x20 || byte == 0x7f) {
            text += "\\x";
            text += kHex[byte >> 4];
            text += kHex[byte & 15U];
        } else {
            text += c;
        }
    }
    return text + "')";
}

std::string latex_name(std::string_view name) {
    std::string escaped;
    for (const char c : name) {
        switch (c) {
            case '\\':
                escaped += "\\textbackslash{}";
                break;
            case '~':
                escaped += "\\textasciitilde{}";
                break;
            case '^':
                escaped += "\\textasciicircum{}";
                break;
            case '_':
            case '#':
            case '$':
            case '%':
            case '&':
            case '{':
            case '}':
                escaped += '\\';
                escaped += c;
                break;
            default:
                escaped += c;
        }
    }
    if (name.size() == 1 && escaped.size() == 1) return escaped;
    return "\\mathrm{" + escaped + "}";
}

class Printer {
  public:
    Printer(const Arena& arena, ExprRef root, bool latex)
        : arena_(arena), latex_(latex), reachable_(arena.reachable_atoms(root)), atoms_(reachable_.size()) {
        for (const std::uint32_t id : reachable_)
            if (arena.atoms[id].kind == AtomKind::symbol && arena.symbol_of(id).name.starts_with(index_))
                index_ += '_';  // no dim may look like an index
        for (std::size_t i = 0; i < reachable_.size(); ++i) atoms_[i] = atom(reachable_[i]);
    }

    [[nodiscard]] std::string polynomial(ExprRef expr) const {
        Term room{};
        const auto terms = arena_.terms_of(expr, &room);
        if (terms.empty()) return "0";
        if (const std::optional<Int128> den = common_denominator(terms)) {
            std::string text;
            for (const Term& term : terms) {
                const Rational coef = arena_.coef_value(term.coef);
                append(text, term.monomial, coef.num * (*den / coef.den));
            }
            return quotient(std::move(text), terms, *den);
        }
        std::string text;  // beyond 127 bits: each term with its own denominator
        for (const Term& term : terms) {
            const Rational coef = arena_.coef_value(term.coef);
            std::string own;
            append(own, term.monomial, coef.num);
            own = quotient(std::move(own), {&term, 1}, coef.den);
            text += text.empty() ? own : own[0] == '-' ? " - " + own.substr(1) : " + " + own;
        }
        return text;
    }

  private:
    // Of all terms, if it and the coefficients over it fit.
    [[nodiscard]] std::optional<Int128> common_denominator(std::span<const Term> terms) const {
        Int128 den = 1;
        for (const Term& term : terms) {
            const Int128 own = arena_.coef_value(term.coef).den;
            if (__builtin_mul_overflow(den / static_cast<Int128>(gcd(magnitude(den), magnitude(own))), own, &den))
                return std::nullopt;
        }
        for (const Term& term : terms) {
            const Rational coef = arena_.coef_value(term.coef);
            Int128 over;
            if (__builtin_mul_overflow(coef.num, den / coef.den, &over)) return std::nullopt;
        }
        return den;
    }

    // text / den; text is what append() made of the terms.
    [[nodiscard]] std::string quotient(std::string text, std::span<const Term> terms, Int128 den) const {
        if (den == 1) return text;
        if (latex_) {
            const bool minus = terms.size() == 1 && text[0] == '-';
            return (minus ? "-\\frac{" : "\\frac{") + text.substr(minus ? 1 : 0) + "}{" + to_decimal(den) + "}";
        }
        if (terms.size() == 1 &&
            terms[0].monomial == kUnit) {  // a bare quotient of two ints would be a float in Python
            const bool minus = text[0] == '-';
            return (minus ? "-Fraction(" : "Fraction(") + text.substr(minus ? 1 : 0) + ", " + to_decimal(den) + ")";
        }
        if (terms.size() > 1) text = "(" + text + ")";
        return text + "/" + to_decimal(den);
    }

  private:
    void append(std::string& text, std::uint32_t monomial, Int128 coef) const {
        if (text.size() > kMaxText)
            throw OverflowError_("the text of an expression is beyond the limit of " + std::to_string(kMaxText) +
                                 " characters");
        const bool minus = coef < 0;
        const bool first = text.empty();
        text += first ? (minus ? "-" : "") : (minus ? " - " : " + ");
        std::string size = to_decimal(coef);
        if (minus) size.erase(0, 1);
        const auto factors = arena_.factors_of(monomial);
        if (factors.empty()) {
            text += size;
            return;
        }
        const bool alone = size == "1" && factors.size() == 1 && factors[0].exponent == 1 && !minus;
        const char* times = latex_ ? " \\, " : "*";
        bool open = size != "1";
        if (open) text += size;
        for (const Factor& factor : factors) {
            if (open) text += times;
            open = true;
            const bool bare = arena_.atoms[factor.atom].kind != AtomKind::floordiv || alone || latex_;
            const std::string& own = text_of(factor.atom);
            text += bare ? own : "(" + own + ")";
            if (factor.exponent != 1) {
                const std::string power = std::to_string(factor.exponent);
                text += latex_ ? "^{" + power + "}" : "**" + power;
            }
        }
    }

    [[nodiscard]] const std::string& text_of(std::uint32_t atom) const {
        return atoms_[static_cast<std::size_t>(std::ranges::lower_bound(reachable_, atom) - reachable_.begin())];
    }

    // index1 is the index of an innermost sum, index2 of one around it ...
    [[nodiscard]] std::string atom(std::uint32_t id) const {
        const auto args = arena_.args_of(id);
        const AtomKind kind = arena_.atoms[id].kind;
        if (kind == AtomKind::symbol) {
            const std::string& name = arena_.symbol_of(id).name;
            if (latex_) return latex_name(name);
            return is_identifier(name) ? name : quoted(name);
        }
        if (kind == AtomKind::floordiv) {
            const std::string num = polynomial(args[0]);
            const std::string den = polynomial(args[1]);
            if (latex_) return "\\left\\lfloor \\frac{" + num + "}{" + den + "} \\right\\rfloor";
            return side(args[0], num) + "//" + side(args[1], den);
        }
        if (kind == AtomKind::index) {
            const std::string level = std::to_string(arena_.atoms[id].symbol);
            return latex_ ? "i_{" + level + "}" : index_ + level;
        }
        if (kind == AtomKind::sum) {
            const std::string index = polynomial(args[0]);
            const std::string body = polynomial(args[1]);
            const std::string low = polynomial(args[2]);
            const std::string high = polynomial(args[3]);
            if (latex_) return "\\sum_{" + low + " \\le " + index + " < " + high + "} \\left(" + body + "\\right)";
            return "sum(" + body + ", " + index + ", " + low + ", " + high + ")";
        }
        std::string text = kind == AtomKind::minimum ? "min" : "max";
        text = latex_ ? "\\" + text + "\\left(" : text + "(";
        for (std::size_t i = 0; i < args.size(); ++i) {
            if (i != 0) text += ", ";
            text += polynomial(args[i]);
        }
        return text + (latex_ ? "\\right)" : ")");
    }

    // Either side of //: names, calls and constants stand bare.
    [[nodiscard]] std::string side(ExprRef expr, const std::string& text) const {
        const auto atom = arena_.lone_atom(expr);
        const bool bare =
            (expr.is_small() && expr.value() >= 0) || (atom && arena_.atoms[*atom].kind != AtomKind::floordiv);
        return bare ? text : "(" + text + ")";
    }

    const Arena& arena_;
    bool latex_;
    std::vector<std::uint32_t> reachable_;
    std::vector<std::string> atoms_;
    std::string index_ = "index";
};

}  // namespace

std::string ExprStore::Arena::text(ExprRef root, bool latex) const {
    return Printer(*this, root, latex).polynomial(root);
}

}  // namespace flopcore
