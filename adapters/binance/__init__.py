"""Binance USDⓈ-M futures and spot over REST and the user stream: pure rules, one client, one adapter."""
