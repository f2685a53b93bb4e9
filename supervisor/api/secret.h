// The secrets of tokens: made, told once, and from then on known by their hash.
#pragma once

#include <string>
#include <string_view>

namespace appd::api {

// "appd_" and 43 characters, 256 random bits: what begins so is found where it should not be.
std::string new_secret();

// SHA-256 in hexadecimal digits. Fast is right here: unlike a password, 256 random bits cannot be
// guessed, however many guesses a second are made, and neither salt nor slowness adds to that.
std::string hash_secret(std::string_view secret);

// In a time that does not tell where they differ.
bool same_hash(const std::string& a, const std::string& b);

}  // namespace appd::api
